/**
 * Dovecot 1.x starts the wrapper in place of imap, as root, with what imap is to become in the
 * environment. Debian has none any more, so its environment is replayed.
 */
import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { account } from "../support/accounts.ts";
import { install, type Installation } from "../support/installation.ts";
import { run, runOk, type RunResult } from "../support/run.ts";
import { startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

let box: Installation;
let home: string;
before(async () => {
  box = await install("sqlite");
  home = join(box.directory, "home");
  mkdirSync(home);
});
beforeEach(() => box.killDrains());
after(() => box[Symbol.asyncDispose]());

/** What mail_process_size limits, as it is by default: both for good. */
const MAIL_PROCESS_SIZE = ["--as", "--data"].map((limit) => `${limit}=268435456:268435456`);

/** What a Dovecot 1 that was built with libcap keeps of root's capabilities. */
const LIBCAP = ["chown", "dac_override", "setgid", "setuid", "net_bind_service", "sys_chroot"];

/** Dovecot 1 as it comes: its limit, and no right to raise it. */
const AS_IT_COMES = [
  "setpriv",
  `--bounding-set=-all,${LIBCAP.map((name) => `+${name}`).join()}`,
  "prlimit",
  ...MAIL_PROCESS_SIZE,
];

/**
 * The wrapper, as `mail_executable` starts it: root, in the user's home, a umask that lets nobody
 * else read.
 *
 * @param dovecot what starts it, and sets limits. Default: mail_process_size = 0
 */
async function mailExecutable(
  env: Readonly<Record<string, string>>,
  program: readonly string[] = ["/bin/true"],
  dovecot: readonly string[] = [],
): Promise<RunResult> {
  const { uid, gid } = account("www-data");
  const login = {
    USER: "bob@example.org",
    HOME: home,
    MAIL: `maildir:${home}/Maildir`,
    LOCAL_IP: "::ffff:198.51.100.5",
    RESTRICT_SETUID: String(uid),
    RESTRICT_SETGID: String(gid),
    RESTRICT_USER: "bob@example.org",
    LOG_TO_MASTER: "1",
    LOGGED_IN: "1",
  };
  const command = [...dovecot, box.program, "--config", box.config, ...program];
  return await run("bash", ["-c", 'umask 077; exec "$@"', "bash", ...command], {
    env: { ...login, ...env },
    cwd: home,
  });
}

const isStored = (address: string) => async () =>
  (await box.rows()).some((row) => row.address === address && row.user === "bob@example.org");

test("root's login is recorded, and drained by a drain that is no longer root", async () => {
  const { status, stdout, stderr } = await mailExecutable({ IP: "::ffff:192.0.2.1" });
  assert.deepEqual([status, stdout.length], [0, 0]);
  assert.equal(stderr.toString(), "");
  await waitUntil("the login to be in the store", isStored("192.0.2.1"));
  assert.deepEqual(box.waiting(), []);
  const [drain, ...others] = box.drains();
  assert.deepEqual(others, []);
  assert.equal(statSync(`/proc/${String(drain)}`).uid, box.user.uid);

  // the next finds it at work, and in the store before the mail program runs
  const next = await mailExecutable({ IP: "::ffff:192.0.2.2" });
  assert.deepEqual([next.status, next.stderr.toString()], [0, ""]);
  assert.ok(await isStored("192.0.2.2")());
});

test("under mail_process_size as it comes, each login says what to do, and does not wait again", async () => {
  await box.popbsmtp("drain");
  const log = async (IP: string) => {
    const { status, stderr } = await mailExecutable({ IP }, ["/bin/true"], AS_IT_COMES);
    assert.equal(status, 0);
    return stderr.toString();
  };
  await log("192.0.2.21");
  // no FIFO: whoever waited would have to start sleep(1) every 10 ms
  const words = await log("192.0.2.22");
  assert.match(
    words,
    /waits in \S+: Node does not start in 256 MiB of memory: run popbsmtp serve beside Dovecot, or set mail_process_size = 0; see popbsmtp print dovecot 1\n$/,
  );
  assert.doesNotMatch(words, /vsz_limit/);
  assert.equal(box.waiting().length, 2);
  await box.popbsmtp("drain");
  assert.ok(await isStored("192.0.2.22")());
});

test("a limit that may be raised is raised for the drain alone", async () => {
  await box.popbsmtp("drain");
  for (const limit of ["--as=268435456:", "--data=268435456:"]) {
    await box.killDrains();
    const look = ["/bin/bash", "-pc", "ulimit -Sv; ulimit -Sd"];
    const { stdout, stderr } = await mailExecutable({ IP: "192.0.2.31" }, look, ["prlimit", limit]);
    const limited = limit.startsWith("--as") ? "262144\nunlimited\n" : "unlimited\n262144\n";
    assert.deepEqual([stdout.toString(), stderr.toString()], [limited, ""]);
    await waitUntil("the login to be drained", () => box.waiting().length === 0);
    const [drain] = box.drains();
    const limits = readFileSync(`/proc/${String(drain)}/limits`, "utf8");
    assert.match(limits, /^Max address space +unlimited /m);
    assert.match(limits, /^Max data size +unlimited /m);
  }
});

test("with the daemon beside it, the login is in the store before the mail program runs", async () => {
  await using serve = await startServe(box);
  const list = [box.program, "--config", box.config, "check", "192.0.2.41"];
  const look = [
    "/bin/bash",
    "-pc",
    '[[ ! -e $1 ]] && ls "$2"',
    "look",
    join(box.spool, ".away"),
    box.spool,
  ];
  const { status, stdout, stderr } = await mailExecutable(
    { IP: "192.0.2.41" },
    ["--wait", "9000", ...look],
    AS_IT_COMES,
  );
  assert.deepEqual([status, stderr.toString()], [0, ""]);
  assert.doesNotMatch(stdout.toString(), /^\d+\.\d+$/m);
  assert.deepEqual(box.drains(), []);
  assert.match(await runOk(list[0] ?? "", list.slice(1)), /may relay/);
  assert.match(serve.log(), /ready/);
});

test("with --no-drain, and popbsmtp drain from cron, nothing is said", async () => {
  const none = await mailExecutable({ IP: "192.0.2.51" }, ["--no-drain", "/bin/true"], AS_IT_COMES);
  assert.deepEqual([none.status, none.stderr.toString()], [0, ""]);
  assert.deepEqual(box.drains(), []);
  await box.popbsmtp("drain");
  assert.ok(await isStored("192.0.2.51")());
});

test("nothing that root leaves in the spool is in the way of a drain that is not root", async () => {
  // --no-wait: root's files, and no drain yet that would have taken them
  for (const IP of ["192.0.2.11", "192.0.2.12", "192.0.2.13"]) {
    await mailExecutable({ IP }, ["--no-wait", "/bin/true"]);
  }
  await box.killDrains();
  const { uid, gid } = box.user;
  const drain = await run(box.program, ["--config", box.config, "drain"], { uid, gid });
  assert.deepEqual([drain.status, drain.stderr.toString()], [0, ""]);
  for (const address of ["192.0.2.11", "192.0.2.12", "192.0.2.13"]) {
    assert.ok(await isStored(address)(), address);
  }
  const roots = readdirSync(box.spool).filter((name) => lstatSync(join(box.spool, name)).uid === 0);
  // the next drain to be started deletes these
  assert.deepEqual(
    roots.filter((name) => !name.startsWith(".start-")),
    [],
  );
});

test("the mail program is root with everything in its environment, to become who it is told to", async () => {
  const environment = async (command: readonly string[]) => {
    const { stdout } = await run("bash", ["-c", 'umask 077; exec "$@"', "bash", ...command], {
      env: { IP: "192.0.2.1", USER: "bob", RESTRICT_SETUID: "33", "namespace/x": "y" },
      cwd: home,
    });
    return stdout.toString();
  };
  const look = ["/bin/bash", "-pc", "umask; id -u; pwd; tr '\\0' '\\n' </proc/$$/environ"];
  const wrapped = await environment([box.program, "--config", box.config, ...look]);
  assert.equal(wrapped, await environment(look));
});

test("DUMP_CAPABILITY, as at Dovecot's start, records nothing and says nothing", async () => {
  // logins before this one
  await box.popbsmtp("drain");
  const rows = await box.rows();
  const { status, stdout, stderr } = await mailExecutable(
    { DUMP_CAPABILITY: "1", IP: "192.0.2.99" },
    ["/usr/bin/printf", "IMAP4rev1"],
  );
  assert.deepEqual([status, stdout.toString(), stderr.toString()], [0, "IMAP4rev1", ""]);
  assert.deepEqual(box.waiting(), []);
  await box.popbsmtp("drain");
  assert.deepEqual(await box.rows(), rows);
});
