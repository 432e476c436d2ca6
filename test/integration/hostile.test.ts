/**
 * What the wrapper makes of addresses, near-addresses, and whatever else may stand in the variables
 * it reads.
 */
import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { generateAddresses } from "../support/generated-addresses.ts";
import { run, runOk } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { inSoak } from "../support/soak.ts";

const POPBSMTP = join(import.meta.dirname, "../../bin/popbsmtp");

/** One installation, and an empty directory that has to stay empty to run things in. */
function installation() {
  const directory = temporaryDirectory();
  const [spool, empty] = [join(directory.path, "spool"), join(directory.path, "empty")];
  mkdirSync(spool);
  mkdirSync(empty);
  const config = join(directory.path, "popbsmtp.toml");
  writeFileSync(
    config,
    `spool = "${spool}"\nuser = "root"\nlinger = "0s"\n[store]\ndriver = "sqlite"\npath = "${directory.path}/db/popbsmtp.db"\n`,
  );
  return { ...directory, spool, empty, config };
}

describe("addresses", () => {
  it("10,000 generated addresses and near-addresses: bash takes all that Node does, and nothing but their characters", async () => {
    const candidates = generateAddresses(10_000);
    // the built program's own lines, given one candidate after the other
    const program = readFileSync(POPBSMTP, "latin1");
    const [plain = ""] = /^p_plain=.*\n.*p_plain$/m.exec(program) ?? [];
    const [check = ""] = /^looks_like_address\(\) \{$[^]*?^\}$/m.exec(program) ?? [];
    assert.ok(plain !== "" && check !== "");
    const script = `${check}
      while IFS= read -r -d '' p_address; do
        ${plain}
        looks_like_address || p_address=
        printf '%s\\0' "$p_address"
      done`;
    const input = candidates.map((candidate) => `${candidate}\0`).join("");
    const { stdout, stderr } = await run("/bin/bash", ["--norc", "-p", "-c", script], {
      stdin: input,
    });
    assert.equal(stderr.toString(), "");
    const answers = stdout.toString().split("\0");
    let accepted = 0;
    for (const [index, candidate] of candidates.entries()) {
      const [answer = "", canonical] = [answers[index], parseAddress(candidate)];
      assert.match(answer, /^[0-9A-Fa-f.:]{0,45}$/);
      if (canonical === undefined) continue;
      assert.equal(parseAddress(answer), canonical, JSON.stringify(candidate));
      accepted += 1;
    }
    assert.ok(accepted > 3_000 && accepted < 8_000, `${accepted} accepted`);
  });

  it("what the whole wrapper records and exports is what Node takes for the same address", async () => {
    await using there = installation();
    const candidates = generateAddresses(150).filter((candidate) => !candidate.includes("\0"));
    for (const candidate of candidates) {
      const canonical = parseAddress(candidate);
      const { stdout, status } = await run(
        POPBSMTP,
        [
          "--config",
          there.config,
          "--no-wait",
          "--export",
          "FOUND",
          "/bin/bash",
          "-c",
          'echo "$FOUND"',
        ],
        // one of the two variables each
        { env: { [canonical === undefined ? "TCPREMOTEIP" : "IP"]: candidate }, cwd: there.empty },
      );
      assert.equal(status, 0);
      const exported = stdout.toString().trimEnd();
      if (canonical === undefined) assert.match(exported, /^[0-9A-Fa-f.:]{0,45}$/);
      else assert.equal(parseAddress(exported), canonical, JSON.stringify(candidate));
    }
    const recorded = readdirSync(there.spool)
      .filter((name) => /^\d/.test(name))
      .map((name) => readFileSync(join(there.spool, name), "latin1").split("\0")[1] ?? "")
      .flatMap((address) => parseAddress(address) ?? []);
    const expected = candidates.flatMap((candidate) => parseAddress(candidate) ?? []);
    assert.deepEqual(recorded.toSorted(byText), expected.toSorted(byText));
    assert.deepEqual(readdirSync(there.empty), []);
  });
});

function byText(a = "", b = ""): number {
  return a.localeCompare(b);
}

const HOSTILE = [
  "$(touch injected)",
  "`touch injected`",
  "'; touch injected; '",
  '"; touch injected; "',
  "a[$(touch injected)]",
  "x'); DROP TABLE popbsmtp; --",
  "\\'; DROP TABLE popbsmtp; --",
  "../../../../tmp/injected",
  "/etc/passwd",
  "*",
  "~root",
  "-n",
  "--config",
  "%s%n%999999d",
  "\\0\\x41\\c",
  "two\nlines\n",
  "carriage\rreturn",
  "tab\tand\u0001control",
  "\u001B]0;title\u0007\u001B[31m",
  "\u202Egnp.exe",
  "é漢字\u{1F600}",
  "1\n2\n\n",
  "x".repeat(255),
  "é".repeat(200),
  "y".repeat(100_000),
  "",
] as const;

describe("hostile values", () => {
  let list: readonly { readonly address: string; readonly user: string }[];

  // every variable that the wrapper reads, and those that bash itself gives a meaning to
  const VARIABLES = ["USER", "IP", "PATH", "BASH_ENV", "IFS", "LINENO", "EPOCHREALTIME"].concat(
    inSoak("AUTHENTICATED", "TCPREMOTEIP", "HOME", "TMPDIR", "PWD", "OLDPWD", "ENV", "PS4"),
    inSoak("SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT", "TMOUT", "_", "UID", "EUID", "PPID"),
    inSoak("GROUPS", "SHLVL", "SECONDS", "RANDOM", "SRANDOM", "OPTIND", "BASHPID", "HISTCMD"),
    inSoak("LC_ALL", "GLOBIGNORE", "p_spool", "p_wait"),
  );

  before(async () => {
    await using there = installation();
    await runOk(POPBSMTP, ["--config", there.config, "schema", "install"]);
    for (const name of VARIABLES) {
      for (const value of HOSTILE) {
        const { status, stdout } = await run(
          POPBSMTP,
          ["--config", there.config, "--no-wait", "/bin/echo", "mail"],
          { env: { IP: "192.0.2.1", USER: "bob", [name]: value }, cwd: there.empty },
        );
        assert.equal(status, 0, `${name}=${JSON.stringify(value)}`);
        assert.equal(stdout.toString(), "mail\n", `${name}=${JSON.stringify(value)}`);
      }
    }
    assert.deepEqual(readdirSync(there.empty), [], "nothing was made outside the spool");
    const drained = await run(POPBSMTP, ["--config", there.config, "drain"]);
    assert.deepEqual([drained.status, drained.stderr.toString()], [0, ""]);
    const left = readdirSync(there.spool).filter((name) => !name.startsWith("."));
    assert.deepEqual(left, [], "every file that was written is a login's");
    list = JSON.parse(await runOk(POPBSMTP, ["--config", there.config, "list", "--json"]));
  });

  it("are recorded exactly as users, up to 255 bytes", () => {
    const users = new Set(list.map(({ user }) => user));
    for (const value of HOSTILE) {
      if (Buffer.byteLength(value) <= 255) assert.ok(users.has(value), JSON.stringify(value));
    }
    assert.ok(users.has("y".repeat(255)));
    assert.ok(users.has("é".repeat(127)));
  });

  it("never become an address", () => {
    assert.deepEqual([...new Set(list.map(({ address }) => address))], ["192.0.2.1"]);
  });
});

describe("what is no login", () => {
  for (const [what, env] of Object.entries({
    "no address": { USER: "bob" },
    "Dovecot 1.x asking for capabilities": { IP: "192.0.2.1", USER: "root", DUMP_CAPABILITY: "1" },
    "Courier before the login": { TCPREMOTEIP: "192.0.2.1", AUTHENTICATED: "" },
    "an old Courier before the login": { TCPREMOTEIP: "192.0.2.1", AUTHUSER: "x", AUTHARGV0: "y" },
    "one that sets all three": {
      TCPREMOTEIP: "192.0.2.1",
      AUTHUSER: "x",
      AUTHARGV0: "y",
      AUTHENTICATED: "",
    },
  })) {
    it(`${what}: nothing is recorded, the program runs`, async () => {
      await using there = installation();
      const args = ["--config", there.config, "/bin/echo", "mail"];
      const { status, stdout } = await run(POPBSMTP, args, { env });
      assert.deepEqual([status, stdout.toString()], [0, "mail\n"]);
      assert.deepEqual(readdirSync(there.spool), []);
    });
  }
});

describe("who a login is of", () => {
  const from = { TCPREMOTEIP: "192.0.2.1" };
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ["checkpassword's USER", { ...from, USER: "bob" }, "bob"],
    ["USER and DOMAIN", { ...from, USER: "bob", DOMAIN: "example.org" }, "bob@example.org"],
    ["a USER that has a domain", { ...from, USER: "bob@a.example", DOMAIN: "b" }, "bob@a.example"],
    ["nobody, in a DOMAIN", { ...from, DOMAIN: "example.org" }, ""],
    [
      "Dovecot's USER, whatever field DOMAIN is",
      { IP: "192.0.2.1", USER: "bob", DOMAIN: "x" },
      "bob",
    ],
    ["Courier's AUTHENTICATED", { ...from, USER: "root", AUTHENTICATED: "bob" }, "bob"],
    [
      "an old Courier's",
      { ...from, USER: "root", AUTHUSER: "x", AUTHARGV0: "y", AUTHENTICATED: "bob" },
      "bob",
    ],
    ["only one of an old Courier's variables", { ...from, USER: "bob", AUTHUSER: "x" }, "bob"],
  ];
  for (const [what, env, user] of cases) {
    it(what, async () => {
      await using there = installation();
      // a drain that is alive, so that none is started, and none that drains
      const lock = openSync(join(there.spool, ".lock"), "w");
      symlinkSync(`/proc/${process.pid}/fd/${lock}`, join(there.spool, ".drain"));
      await runOk(POPBSMTP, ["--config", there.config, "--no-wait", "/bin/true"], { env });
      closeSync(lock);
      const [entry = "", ...others] = readdirSync(there.spool).filter((name) => /^\d/.test(name));
      assert.equal(others.length, 0);
      const fields = readFileSync(join(there.spool, entry), "utf8").split("\0");
      assert.deepEqual(fields, ["1", "192.0.2.1", "true", user, "\n"]);
    });
  }
});
