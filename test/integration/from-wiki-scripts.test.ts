/**
 * docs/from-wiki-scripts.md, done from top to bottom on the real servers, with other paths than
 * those of a mail server.
 */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BLOCKS, type Block } from "../support/docs.ts";
import { install, type Installation } from "../support/installation.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { PLAIN_ENV, run } from "../support/run.ts";
import { waitUntil } from "../support/wait-until.ts";
import { inSoak } from "../support/soak.ts";

const PAGE = "docs/from-wiki-scripts.md";

type Driver = "pgsql" | "mysql";

/** What the wiki calls them. */
const WIKI_TABLE = { pgsql: "auth", mysql: "popbsmtp" };
const WIKI_TIME = { pgsql: "accessed", mysql: "last_seen" };

/** The page's blocks for one database, in their order. */
function blocks(driver: Driver): readonly Block[] {
  return BLOCKS.filter(({ page, note }) => page === PAGE && (note === "" || note === driver));
}

/** The page's paths and names, as they are here. */
function here(text: string, box: Installation, postfix: Postfix): string {
  const { server } = box;
  assert.ok(server !== undefined);
  return text
    .replaceAll(/^popbsmtp |(?<=[;(] ?)popbsmtp /gm, `${box.program} --config ${box.config} `)
    .replaceAll("chgrp popbsmtp", `chgrp ${box.user.gid}`)
    .replaceAll("/usr/local/lib/popbsmtp/popbsmtp", `${box.program} --config ${box.config}`)
    .replaceAll("/etc/popbsmtp/popbsmtp.toml", box.config)
    .replaceAll("/etc/postfix", postfix.directory)
    .replaceAll("/etc/cron.hourly", join(box.directory, "cron.hourly"))
    .replaceAll("postconf ", `postconf -c ${postfix.directory} `)
    .replaceAll("postfix reload", `postfix -c ${postfix.directory} reload`)
    .replace('host = "localhost"', `host = "${server.host}"\nport = ${server.port}`)
    .replace(/database = ".*"/, `database = "${server.database}"`)
    .replaceAll('user = "popbsmtp"', `user = "${server.user}"`)
    .replaceAll('password = "secret"', `password = "${server.password}"`)
    .replace("postfix main |", `postfix main | sed 's:/etc/postfix:${postfix.directory}:' |`);
}

async function follow(box: Installation, postfix: Postfix, driver: Driver): Promise<string> {
  let dovecotConf = "";
  writeFileSync(box.config, `spool = "${box.spool}"\nuser = "${box.user.name}"\n`);
  for (const { language, text } of blocks(driver)) {
    const translated = here(text, box, postfix);
    switch (language) {
      case "sql":
        // as the account that the wiki's script uses
        await box.sql(driver === "pgsql" ? `SET ROLE ${box.server?.user};${text}` : text);
        break;
      case "toml":
        appendFileSync(box.config, translated);
        break;
      case "dovecot":
        dovecotConf += translated;
        break;
      default:
        assert.equal(language, "sh");
        if (!readFileSync(box.config, "utf8").includes("[serve]")) {
          // another test's daemon may be at the usual sockets
          appendFileSync(box.config, "[serve]\npolicy = false\nsocketmap = false\n");
        }
        for (const command of commands(translated)) {
          // doctor finds fault with a host without Dovecot 1
          if (command.endsWith(" doctor")) continue;
          const { status, stderr } = await run("bash", ["--norc", "-ec", command]);
          assert.equal(status, 0, `${command}: ${stderr.toString()}`);
        }
    }
  }
  return dovecotConf;
}

function commands(text: string): readonly string[] {
  return text.trim().replaceAll("\\\n", " ").split("\n");
}

/**
 * Logs in as Dovecot 1 does: the words of mail_executable, with the client's address as it writes
 * that.
 */
async function login(dovecotConf: string, address: string): Promise<void> {
  const [, executable = ""] =
    /^ {2}mail_executable = (.*) \/usr\/lib\/dovecot\/imap$/m.exec(dovecotConf) ?? [];
  const [command = "", ...options] = executable.split(" ");
  const { status, stdout } = await run(command, [...options, "/usr/bin/printf", "mail"], {
    env: { IP: `::ffff:${address}`, USER: "bob", LOGGED_IN: "1" },
  });
  assert.deepEqual([status, stdout.toString()], [0, "mail"]);
}

for (const driver of ["pgsql", ...inSoak("mysql")] as const) {
  test(`the wiki's recipe works with ${driver}, as the page has it`, async () => {
    await using box = await install(driver);
    // it never has popbsmtp's own tables
    await box.sql("DROP TABLE popbsmtp");
    await using postfix = await startPostfix();
    mkdirSync(join(box.directory, "cron.hourly"));
    const dovecotConf = await follow(box, postfix, driver);

    const printed = await box.popbsmtp("print", "dovecot", "1");
    const settings = printed.split("\n").filter((line) => !line.startsWith("#"));
    assert.equal(dovecotConf, `mail_process_size = 0\n${settings.join("\n")}`);

    const relays = async (from: string) =>
      (await postfix.rcpt({ from, to: "somebody@example.net" })).code;
    assert.equal(await relays("127.0.0.5"), 454, postfix.log());
    await login(dovecotConf, "127.0.0.5");
    await login(dovecotConf, "192.168.1.1");
    await waitUntil("the relay to open", async () => (await relays("127.0.0.5")) === 250);
    assert.equal(await relays("127.0.0.6"), 454);
    await waitUntil("the spool to be empty", () => box.waiting().length === 0);
    assert.deepEqual(
      (await box.list()).map(({ address }) => address),
      ["127.0.0.5"],
    );

    // half an hour later; the hourly purge
    const [table, time] = [WIKI_TABLE[driver], WIKI_TIME[driver]];
    const interval = driver === "pgsql" ? "INTERVAL '31 minutes'" : "INTERVAL 31 MINUTE";
    await box.sql(`UPDATE ${table} SET ${time} = ${time} - ${interval}`);
    assert.equal(await relays("127.0.0.5"), 454);
    const { PATH = "" } = PLAIN_ENV;
    const purged = await run("run-parts", [join(box.directory, "cron.hourly")], { env: { PATH } });
    assert.deepEqual(
      [purged.status, purged.stdout.toString(), purged.stderr.toString()],
      [0, "", ""],
    );
    assert.deepEqual(await box.list(), []);
  });
}
