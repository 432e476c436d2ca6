/** What the wrapper hands on to the mail program, compared with what a bare exec hands on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { execProbe, type ExecProbe } from "../support/probe.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";

const POPBSMTP = join(import.meta.dirname, "../../bin/popbsmtp");

/**
 * Names as Dovecot makes them of userdb fields, bytes that are not UTF-8, an exported function,
 * nothing at all.
 */
const LOGIN = [
  "IP=::ffff:192.0.2.1",
  "USER=bob",
  "HOME=/home/bob",
  "NAMESPACE/INBOX/PREFIX=Mail/",
  "namespace/extra/prefix=Extra/",
  "MASTER_USER=",
  "GREETING=two\nlines",
  "BASH_FUNC_exec%%=() { echo hello; }",
  "USERDB_KEYS=a b c",
  "TZ=Europe/Berlin",
];

const ENVIRONMENTS: Readonly<Record<string, readonly string[]>> = {
  "a login's environment": LOGIN,
  "variables that bash has for itself": [
    ...LOGIN,

    "UID=1000",
    "EUID=0",
    "PPID=1",
    "GROUPS=5",
    "SHELLOPTS=xtrace:errexit",
    "BASHOPTS=failglob",
    "BASH_ENV=/etc/passwd",
    "ENV=/etc/passwd",
    "IFS=abc",
    "PS4=$(id)",
    "OPTIND=4",
    "RANDOM=5",
    "SECONDS=6",
    "LINENO=7",
    "PWD=/nowhere",
    "OLDPWD=/nowhere",
    "SHLVL=5",
    "_=/usr/bin/thing",
    "POSIXLY_CORRECT=1",
    "TMOUT=1",
    "BASH_COMPAT=31",
    "EPOCHREALTIME=1",
    "COMP_WORDBREAKS=x",
  ],
  "the wrapper's own names": [
    ...LOGIN,
    "p_spool=/etc",
    "p_at=x",
    "p_config=/etc/passwd",
    "p_late=1",
  ],
  "a shell's variables": [...LOGIN, "SHLVL=3", "LC_ALL=C", "PATH=/usr/bin:/bin"],
  nothing: [],
};

/**
 * Runs a command with exactly these strings as its environment; says its process id and what it
 * wrote to stdout.
 */
async function environ(
  probe: ExecProbe,
  environment: readonly string[],
  command: readonly string[],
): Promise<{ readonly pid: number; readonly report: string }> {
  // env(1) hands on what Node would re-encode
  const child = spawn("/usr/bin/env", ["-i", "--", ...environment, ...command], {
    stdio: ["ignore", "pipe", "ignore", "pipe"],
  });
  let report = "";
  child.stdout?.setEncoding("latin1").on("data", (data: string) => (report += data));
  await new Promise((resolve) => child.once("close", resolve));
  assert.notEqual(report, "", `${command.join(" ")} said nothing (${probe.path})`);
  assert.ok(child.pid !== undefined);
  return { pid: child.pid, report };
}

/**
 * The report without what differs between any two processes: their ids, and the pipes they were
 * given.
 */
function comparable(report: string): string {
  return report.replace(/^pid \d+/m, "pid").replaceAll(/^(fd [13] .*) inode \d+/gm, "$1");
}

describe("the wrapper's exec", () => {
  let probe: ExecProbe;
  let directory: TemporaryDirectory;
  let config: string;
  let spool: string;

  before(async () => {
    probe = await execProbe();
    directory = temporaryDirectory();
    spool = join(directory.path, "spool");
    config = join(directory.path, "popbsmtp.toml");
    mkdirSync(spool);
    // a drain that is alive, so that none is started
    const lock = openSync(join(spool, ".lock"), "w");
    symlinkSync(`/proc/${process.pid}/fd/${lock}`, join(spool, ".drain"));
    writeFileSync(config, `spool = "${spool}"\n`);
  });
  after(async () => {
    await probe[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const report = ["report", "", "two\nlines", "*", "-x", "$(id)", " a  b "];

  for (const [name, environment] of Object.entries(ENVIRONMENTS)) {
    for (const strange of [false, true]) {
      const how = strange ? ", strange descriptors, signals and limits" : "";
      it(`hands on what a bare exec does: ${name}${how}`, async () => {
        const prefix = strange ? [probe.path, "strange"] : [];
        const wrapper = [POPBSMTP, "--config", config, "--no-wait"];
        const bare = await environ(probe, environment, [...prefix, probe.path, ...report]);
        const wrapped = await environ(probe, environment, [
          ...prefix,
          ...wrapper,
          probe.path,
          ...report,
        ]);
        assert.equal(comparable(wrapped.report), comparable(bare.report));
        assert.match(wrapped.report, new RegExp(`^pid ${wrapped.pid} `, "m"));
      });
    }
  }

  it("hands it on, too, after waiting in vain, and where a drain has to be started", async () => {
    const nobody = join(directory.path, "nobody");
    mkdirSync(nobody);
    const alone = join(directory.path, "alone.toml");
    writeFileSync(alone, `spool = "${nobody}"\n[store]\ndriver = "none"\n`);
    const bare = await environ(probe, LOGIN, [probe.path, ...report]);
    for (const [file, ...options] of [
      [config, "--wait", "20"],
      [config, "--unknown", "--wait", "20"],
      [alone, "--wait", "20"],
    ]) {
      const command = [POPBSMTP, "--config", String(file), ...options, probe.path, ...report];
      const wrapped = await environ(probe, LOGIN, command);
      assert.equal(comparable(wrapped.report), comparable(bare.report));
    }
  });

  it("hands on bytes that are not UTF-8 in variables, arguments and the user's name", async () => {
    // $'...' is bash's: Node could not say these bytes
    const login = "IP=192.0.2.9 $'USER=b\\xff\\xfeb' $'FIELD=\\xc3\\x28'";
    const ask = (command: string) =>
      environ(probe, [], ["/bin/bash", "-c", `exec env -i ${login} ${command}`]);
    const program = `${probe.path} report $'\\xff\\x80'`;
    const bare = await ask(program);
    const wrapped = await ask(`${POPBSMTP} --config ${config} --no-wait ${program}`);
    assert.match(wrapped.report, /^variable USER=b%ff%feb$/m);
    assert.equal(comparable(wrapped.report), comparable(bare.report));
    const entries = readdirSync(spool).filter((name) => /^\d/.test(name));
    const recorded = entries.map((name) => readFileSync(join(spool, name), "latin1"));
    assert.ok(
      recorded.includes("1\x00192.0.2.9\x00exec-probe\x00b\xff\xfeb\x00\n"),
      recorded.join(),
    );
  });

  it("hands on an environment of more than 1 MB, with variables that bash has for itself in it", async () => {
    const large = Array.from(
      { length: 15 },
      (_, number) => `FIELD${number}=${"x".repeat(100_000)}`,
    );
    for (const special of [[], ["IFS=abc", "PWD=/nowhere"]]) {
      const environment = [...LOGIN, ...special, ...large];
      const bare = await environ(probe, environment, [probe.path, ...report]);
      const command = [POPBSMTP, "--config", config, "--no-wait", probe.path, ...report];
      const wrapped = await environ(probe, environment, command);
      assert.equal(comparable(wrapped.report), comparable(bare.report));
    }
  });

  it("sets the variable named by --export to the canonical address, and no other", async () => {
    const command = [POPBSMTP, "--config", config, "--no-wait", "--export", "TCPREMOTEIP"];
    const bare = await environ(probe, [...LOGIN, "TCPREMOTEIP=192.0.2.1"], [probe.path, ...report]);
    const wrapped = await environ(probe, LOGIN, [...command, probe.path, ...report]);
    assert.equal(comparable(wrapped.report), comparable(bare.report));
    const special = ENVIRONMENTS["variables that bash has for itself"] ?? [];
    const exact = await environ(probe, special, [...command, probe.path, ...report]);
    assert.match(exact.report, /^variable TCPREMOTEIP=192\.0\.2\.1$/m);
    assert.match(exact.report, /^variable UID=1000$/m);
  });
});
