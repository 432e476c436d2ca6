/** `exclude = "postfix"`, with Postfix. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parseAddress, type Network } from "../../src/login/address.ts";
import { loadConfig } from "../../src/config/reading/load.ts";
import { ConfigError } from "../../src/lib/errors.ts";
import { startPostfix } from "../support/postfix.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PATH = process.env["PATH"];

/** What the configuration excludes where it says so, and Postfix's is in `postfix`. */
async function excluded(exclude: string, postfix?: string): Promise<readonly Network[]> {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "popbsmtp.toml");
  writeFileSync(path, `exclude = ${exclude}\n`);
  if (postfix !== undefined) process.env["MAIL_CONFIG"] = postfix;
  return (await loadConfig(path)).exclude;
}

async function problem(postfix: string): Promise<string> {
  try {
    await excluded('"postfix"', postfix);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message.slice(error.message.indexOf("exclude: "));
  }
  return "none";
}

function contains(networks: readonly Network[], text: string): boolean {
  const address = parseAddress(text);
  assert.ok(address !== undefined);
  return networks.some((network) => network.contains(address));
}

describe('exclude = "postfix"', () => {
  after(() => {
    delete process.env["MAIL_CONFIG"];
    process.env["PATH"] = PATH;
  });

  it("is whom Postfix lets relay for their network, and nobody else", async () => {
    await using postfix = await startPostfix({
      mainCf: `
office = 192.0.2.0/25
mynetworks = !192.0.2.7, $office [2001:db8:1::]/48
  [::ffff:203.0.113.0]/120 $config_directory/branches !$config_directory/gone 10.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_authorized_xclient_hosts = 127.0.0.0/8
`,
      files: {
        branches:
          "# 198.51.100.128/25\n198.51.100.0/26, [2001:db8:2::7]\n!198.51.100.65 198.51.100.64/26\n",
        gone: "10.1.0.0/16 !10.1.2.0/24",
      },
    });
    const networks = await excluded('"postfix"', postfix.directory);
    const answers = new Set<boolean>();
    for (const as of `192.0.2.1 192.0.2.7 192.0.2.127 192.0.2.128 203.0.113.9 203.0.114.9 198.51.100.1
      198.51.100.64 198.51.100.65 198.51.100.128 198.51.100.129 10.0.0.1 10.1.0.1 10.1.2.1 11.0.0.1
      2001:db8:1::1 2001:db8:1:ffff::1 2001:db8:2::1 2001:db8:2::7 ::1`.split(/\s+/)) {
      const { code } = await postfix.rcpt({ from: "127.0.0.1", to: "x@example.com", as });
      assert.equal(contains(networks, as), code === 250, as);
      answers.add(code === 250);
    }
    assert.equal(answers.size, 2);
  });

  it("may stand among other networks", async () => {
    await using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "main.cf"), "mynetworks = 127.0.0.0/8\n");
    const networks = await excluded('["192.0.2.0/24", "postfix"]', directory.path);
    assert.equal(contains(networks, "192.0.2.1"), true);
    assert.equal(contains(networks, "127.0.0.1"), true);
    assert.equal(contains(networks, "198.51.100.1"), false);
  });

  it("is what Postfix finds out for itself where main.cf does not say", async () => {
    await using directory = temporaryDirectory();
    writeFileSync(
      join(directory.path, "main.cf"),
      "inet_protocols = ipv4\nmynetworks_style = host\n",
    );
    const networks = await excluded('"postfix"', directory.path);
    assert.equal(contains(networks, "127.0.0.1"), true);
    assert.equal(contains(networks, "192.0.2.1"), false);
  });

  it("is told, and what to do, where it has a table", async () => {
    await using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "main.cf"), "mynetworks = cidr:/etc/postfix/trusted\n");
    assert.equal(
      await problem(directory.path),
      'exclude: "postfix": mynetworks has the table "cidr:/etc/postfix/trusted", and tables are not read; list the networks instead',
    );
  });

  it("is told, and what to do, where postconf fails or is not there", async () => {
    await using directory = temporaryDirectory();
    const broken = join(directory.path, "broken");
    mkdirSync(broken);
    assert.equal(
      await problem(broken),
      `exclude: "postfix": postconf fails: postconf: fatal: open ${broken}/main.cf: No such file or directory; list the networks instead`,
    );
  });
});
