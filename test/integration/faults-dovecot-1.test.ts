/**
 * Dovecot 1.x starts the wrapper in place of imap, as root, with what imap is to become in the environment. Debian has none any
 * more, so its environment is replayed.
 */
import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { account } from "../support/accounts.ts";
import { install, type Installation } from "../support/installation.ts";
import { run, type RunResult } from "../support/run.ts";
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

/** The wrapper, as `mail_executable` starts it: root, in the user's home, a umask that lets nobody else read. */
async function mailExecutable(
  env: Readonly<Record<string, string>>,
  program: readonly string[] = ["/bin/true"],
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
  const command = [box.program, "--config", box.config, ...program];
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
