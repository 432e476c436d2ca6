/**
 * Root never follows a link that somebody else has put in its way: src/system/privileges.ts says
 * why.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { account } from "../support/accounts.ts";
import { install, type Installation } from "../support/installation.ts";
import { run, runOk, type RunResult } from "../support/run.ts";
import { waitUntil } from "../support/wait-until.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { inSoak } from "../support/soak.ts";

const ATTACKER = fileURLToPath(import.meta.resolve("../support/link-attacker.ts"));

/** What a link may lead to, and nobody but its owner may change. */
interface Outside extends AsyncDisposable {
  readonly path: string;
  /** Throws where anything in it has another owner, mode or content, or is new. */
  assertUnchanged(what: string): void;
}

function outside(uid: number, gid: number): Outside {
  const { path, ...directory } = temporaryDirectory({ mode: 0o755 });
  const top = join(path, "outside");
  mkdirSync(join(top, "directory"), { recursive: true });
  // names that a program might open in a directory of its own
  for (let number = 0; number < 64; number++)
    writeFileSync(join(top, "directory", String(number)), "");
  writeFileSync(join(top, "file"), "");
  writeFileSync(join(top, "directory", "popbsmtp.db"), "");
  for (const each of files(top)) chownSync(each, uid, gid);
  const look = () =>
    files(top).map((each) => {
      const { mode, uid: owner, gid: group, nlink } = lstatSync(each);
      const isFile = lstatSync(each).isFile();
      return [each, mode, owner, group, isFile && nlink, isFile && readFileSync(each).length];
    });
  const before = look();
  return {
    ...directory,
    path: top,
    assertUnchanged: (what) => assert.deepEqual(look(), before, what),
  };
}

function files(path: string): string[] {
  const inside = lstatSync(path).isDirectory() ? readdirSync(path) : [];
  return [path, ...inside.flatMap((name) => files(join(path, name)))];
}

/** Everything that is ever opened, made or removed in a spool. */
function namesInSpool(spool: string): readonly string[] {
  const fixed =
    ".lock .lock-journal .pid .drain .away .notice .ack bad stores .code-program .code-pgsql .start-1772000000";
  return [
    ...fixed.split(" "),
    ...(existsSync(spool) ? readdirSync(spool).filter((name) => /^\.watch-|^\d/.test(name)) : []),
  ].map((name) => join(spool, name));
}

/** Attacks as the configured user while `work` runs. */
async function underAttack(
  box: Installation,
  { path }: Outside,
  paths: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  const { uid, gid } = box.user;
  // in a process of its own that was loaded as root: a checkout in root's home is nobody else's
  // business
  const script = `process.setgroups([]); process.setgid(${String(gid)}); process.setuid(${String(uid)});`;
  const child = spawn(
    process.execPath,
    [
      "--import",
      `data:text/javascript,await import("node:child_process");${script}`,
      ATTACKER,
      path,
      ...paths,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  try {
    await Promise.race([once(child.stdout, "data"), once(child, "close")]);
    await work();
    assert.equal(child.exitCode, null, "the attacker has ended");
  } finally {
    child.stdin.end();
    if (child.exitCode === null) await once(child, "close");
  }
}

/** As root. Whatever it says, it has to come to an end. */
async function asRoot(box: Installation, ...args: readonly string[]): Promise<RunResult> {
  const result = await run(box.program, ["--config", box.config, ...args], { timeout: 60_000 });
  assert.equal(result.signal, undefined, `${args.join(" ")} hangs`);
  assert.notEqual(result.status, 70, `${args.join(" ")}: ${result.stderr.toString()}`);
  return result;
}

const LOG =
  "Mar  3 10:00:01 h dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1\n";

const COMMANDS: readonly (readonly string[])[] = [
  ["drain"],
  ["purge"],
  ["list"],
  ["check", "192.0.2.1"],
  ["allow", "192.0.2.1"],
  ["revoke", "192.0.2.1"],
  ["watch", "--once", "LOG"],
  ["relay", "--ask", "192.0.2.1"],
  ["doctor"],
  ["schema", "install"],
  ["drain", "--linger", "SPOOL"],
];

for (const driver of ["sqlite", ...inSoak("relay-ctrl")] as const) {
  it(`no command of root's follows a link of the configured user's (${driver})`, async () => {
    await using box = await install(driver, 'linger = "0s"');
    await using target = outside(0, 0);
    const log = join(box.directory, "mail.log");
    writeFileSync(log, LOG);
    await asRoot(box, "watch", "--once", log);
    const store =
      driver === "sqlite"
        ? ["", "-wal", "-shm", "-journal"].map((end) => `${box.database}${end}`)
        : [join(box.database, "192.0.2.1"), box.database];
    await underAttack(box, target, [...namesInSpool(box.spool), ...store], async () => {
      for (const command of COMMANDS) {
        const args = command.map((word) => word.replace("LOG", log).replace("SPOOL", box.spool));
        await asRoot(box, ...args);
        target.assertUnchanged(args.join(" "));
      }
    });
  });
}

/** A login as under Dovecot 1, whose wrapper is root. */
async function loginAsRoot(box: Installation, limit = ""): Promise<RunResult> {
  const wrapper = [box.program, "--config", box.config, "/bin/echo", "mail"];
  const result = await run(
    "/bin/bash",
    ["--norc", "-c", `${limit} exec "$@"`, "bash", ...wrapper],
    {
      env: { IP: "192.0.2.7", USER: "bob" },
      timeout: 20_000,
    },
  );
  assert.equal(result.signal, undefined, "the login hangs");
  assert.equal(result.stdout.toString(), "mail\n");
  return result;
}

/** Takes what is there away, and puts a link, or with no target a FIFO, in its place. */
async function plant(box: Installation, name: string, target?: string): Promise<void> {
  const path = join(box.spool, name);
  rmSync(path, { recursive: true, force: true });
  if (target === undefined) await runOk("mkfifo", [path], box.user);
  else await runOk("ln", ["-s", target, path], box.user);
}

describe("a login whose wrapper is root, in the configured user's spool,", () => {
  for (const name of [".pid", ...inSoak(".away", ".notice", ".ack")]) {
    it(`does not wait for a FIFO in the place of ${name}`, async () => {
      await using box = await install("sqlite");
      await plant(box, name);
      await loginAsRoot(box);
      await loginAsRoot(box, "ulimit -v 400000;");
    });
  }

  it("does not report what a link in the place of .away leads to", async () => {
    await using box = await install("sqlite");
    const secret = join(box.directory, "secret");
    writeFileSync(secret, "root:$6$secret\n", { mode: 0o600 });
    await plant(box, ".lock", "/dev/null");
    await plant(box, ".drain", ".lock");
    await plant(box, ".away", secret);
    const { stderr } = await loginAsRoot(box);
    assert.doesNotMatch(stderr.toString(), /secret\b.*secret|\$6/);
    await plant(box, ".pid", secret);
    await loginAsRoot(box);
  });

  it("makes no file where a link in the place of a FIFO leads to", async () => {
    await using box = await install("sqlite");
    await using target = outside(0, 0);
    await plant(box, ".lock", "/dev/null");
    await plant(box, ".drain", ".lock");
    await plant(box, ".ack", join(target.path, "directory"));
    await loginAsRoot(box);
    target.assertUnchanged("a link for .ack");
    await runOk(
      "sh",
      [
        "-c",
        'rm "$1/.ack"; mkdir "$1/.ack"; for n in $(seq 0 63); do ln -s "$2/new" "$1/.ack/$n"; done',
        "sh",
        box.spool,
        target.path,
      ],
      box.user,
    );
    await loginAsRoot(box);
    target.assertUnchanged("links for the FIFOs");
  });

  it("makes no file where links lead that come and go", async () => {
    await using box = await install("sqlite");
    await using target = outside(0, 0);
    const second = Math.floor(Date.now() / 1000);
    const starts = Array.from({ length: 60 }, (_, after) => `.start-${String(second + after)}`);
    const names = [".away", ".notice", ".pid", ".drain", ".ack", ...starts].map((name) =>
      join(box.spool, name),
    );
    await underAttack(box, target, names, async () => {
      for (let turn = 0; turn < 60; turn++) {
        // with so little memory no drain is started, and word of that is left
        await loginAsRoot(box, turn % 2 === 0 ? "ulimit -v 400000;" : "");
        target.assertUnchanged("a login");
      }
    });
  });

  it("is recorded, waits for its drain, and says why nobody drains", async () => {
    await using box = await install("sqlite");
    await loginAsRoot(box);
    await waitUntil("the login in the store", async () => (await box.rows()).length === 1);
    // the drain at work removes the file, and the wrapper ends before the longest time it would
    // wait
    const { stderr } = await loginAsRoot(box);
    assert.equal(stderr.toString(), "");
    assert.deepEqual(box.waiting(), []);
    await box.killDrains();
    await loginAsRoot(box, "ulimit -v 400000;");
    await waitUntil("word to be left", () => existsSync(join(box.spool, ".away")));
    const told = await loginAsRoot(box, "ulimit -v 400000;");
    assert.match(told.stderr.toString(), /waits in .*: Node does not start in 390 MiB of memory/);
  });
});

it("schema install makes a store's directory in a directory of the configured user's, or none, and gives nothing else away", async () => {
  await using box = await install("sqlite");
  await using target = outside(0, 0);
  const { uid, gid } = box.user;
  const home = join(box.directory, "home");
  mkdirSync(home);
  chownSync(home, uid, gid);
  const path = join(home, "db", "popbsmtp.db");
  for (const each of [path, join(home, "db", "new", "x", "popbsmtp.db")]) {
    writeFileSync(
      box.config,
      `spool = "${box.spool}"\nuser = "${box.user.name}"\n[store]\ndriver = "sqlite"\npath = "${each}"\n`,
    );
    await underAttack(box, target, [join(home, "db")], async () => {
      for (let turn = 0; turn < 8; turn++) {
        await asRoot(box, "schema", "install");
        target.assertUnchanged("schema install");
      }
    });
  }
});

it("schema install gives the store it makes to the configured user, and to Postfix's group", async () => {
  await using box = await install("sqlite");
  const { uid } = box.user;
  const { gid } = account("postfix");
  for (const [path, mode] of [
    [dirname(box.database), 0o2750],
    [box.database, 0o640],
    [`${box.database}-wal`, 0o640],
    [`${box.database}-shm`, 0o640],
  ] as const) {
    const stats = lstatSync(path);
    assert.deepEqual([stats.mode & 0o7777, stats.uid, stats.gid], [mode, uid, gid], path);
  }
});

it("root that stays root refuses a spool, and a SQLite file's directory, that somebody else can change", async () => {
  await using box = await install("sqlite");
  await using target = outside(0, 0);
  const { uid, gid } = box.user;
  const config = (spool: string, path: string) =>
    writeFileSync(
      box.config,
      `spool = "${spool}"\nuser = "root"\n[store]\ndriver = "sqlite"\npath = "${path}"\n`,
    );
  const spool = join(box.directory, "foreign");
  mkdirSync(spool);
  symlinkSync(join(target.path, "new"), join(spool, ".lock"));
  chownSync(spool, uid, gid);
  const own = join(box.directory, "own");
  mkdirSync(own, { mode: 0o700 });

  config(spool, join(box.directory, "mine", "popbsmtp.db"));
  await asRoot(box, "schema", "install");
  const drained = await asRoot(box, "drain");
  assert.equal(drained.status, 77);
  assert.match(
    drained.stderr.toString(),
    /spool: .*foreign can be changed by user id \d+, so popbsmtp does not use it as root: set `user`/,
  );
  target.assertUnchanged("drain");

  config(own, box.database);
  const listed = await asRoot(box, "list");
  assert.equal(listed.status, 75);
  assert.match(
    listed.stderr.toString(),
    /store\.path: .*can be changed by user id \d+, so popbsmtp does not use it as root/,
  );
});

it("in a spool that every user may write to, the configured user trusts only what is its own", async () => {
  await using box = await install("sqlite", 'linger = "0s"');
  const { uid, gid } = box.user;
  await using target = outside(uid, gid);
  const stranger = account("games");
  chmodSync(box.spool, 0o1733);
  // what the drain would look for, put there by a local user before the first
  const links: Record<string, string> = {
    bad: "directory",
    ".ack": "directory",
    stores: "directory",
    ".pid": "file",
    ".away": "file",
    ".lock": "file",
  };
  const link = (name: string, to: string) =>
    run("ln", ["-s", join(target.path, to), join(box.spool, name)], stranger);
  for (const [name, to] of Object.entries(links)) await link(name, to);
  // no login: to be set aside
  await run("sh", ["-c", `echo rubbish > ${box.spool}/1772000000000000.5`], stranger);
  const refused = await asRoot(box, "drain");
  assert.equal(refused.status, 77);
  target.assertUnchanged("drain, with a link for .lock");

  await run("rm", [join(box.spool, ".lock")]);
  await asRoot(box, "drain");
  target.assertUnchanged("drain");
  assert.ok(!existsSync(join(target.path, "directory", "1772000000000000.5")));
});
