/** The spool and the drain, through the built program, with SQLite for a store. */
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { run, runOk, type RunResult } from "../support/run.ts";
import { createSqliteFile, sqliteRows, type Row } from "../support/tables.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitUntil } from "../support/wait-until.ts";

const POPBSMTP = join(import.meta.dirname, "../../bin/popbsmtp");

interface Spooler extends AsyncDisposable {
  readonly spool: string;
  /** Runs a command of the program. */
  popbsmtp(...args: readonly string[]): Promise<RunResult>;
  /** Runs the wrapper around /bin/true; says what it wrote to stderr. */
  login(address: string, user: string, ...options: readonly string[]): Promise<string>;
  /**
   * Puts a login into the spool as the wrapper would, `age` milliseconds ago. Returns its file's
   * name.
   */
  record(address: string, user: string, age?: number): string;
  /** What is in a store in the directory of stores. Default: the configured one. */
  list(file?: string): readonly Row[];
  /** What waits in the spool. */
  waiting(): readonly string[];
  /** The process id of the drain at work. */
  drainAtWork(): number | undefined;
}

/** How many processes have this spool for their last argument: the drains there. */
function drainsAt(spool: string): number {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").endsWith(`${spool}\0`);
    } catch {
      return false;
    }
  }).length;
}

async function spooler(settings = 'linger = "0s"'): Promise<Spooler> {
  const directory = temporaryDirectory();
  const spool = join(directory.path, "spool");
  const config = join(directory.path, "popbsmtp.toml");
  mkdirSync(spool);
  writeFileSync(
    config,
    `spool = "${spool}"\nuser = "root"\n${settings}\n[store]\ndriver = "sqlite"\npath = "${directory.path}/db/popbsmtp.db"\n`,
  );
  const database = join(directory.path, "db", "popbsmtp.db");
  await createSqliteFile(database, "root");
  const drainAtWork = () => {
    const file = join(spool, ".pid");
    return existsSync(file) ? Number(readFileSync(file, "utf8").split(" ")[0]) : undefined;
  };
  let recorded = 0;
  return {
    spool,
    drainAtWork,
    popbsmtp: (...args) => run(POPBSMTP, ["--config", config, ...args]),
    login: async (address, user, ...options) => {
      const env = { IP: address, USER: user };
      const { status, stderr } = await run(
        POPBSMTP,
        ["--config", config, ...options, "/bin/true"],
        { env },
      );
      assert.equal(status, 0);
      return stderr.toString();
    },
    record: (address, user, age = 0) => {
      const name = `${(Date.now() - age) * 1000 + recorded++}.1`;
      writeFileSync(join(spool, name), `1\0${address}\0imap\0${user}\0\n`);
      return name;
    },
    list: (file = "popbsmtp.db") => sqliteRows(join(dirname(database), file)),
    waiting: () => readdirSync(spool).filter((name) => /^\d/.test(name)),
    [Symbol.asyncDispose]: async () => {
      const pid = drainAtWork();
      if (pid !== undefined) {
        process.kill(pid, "SIGKILL");
        await waitUntil("the drain is gone", () => hasEnded(pid));
      }
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** A drain is nobody's child here: whoever adopts it may leave it a zombie for a while. */
function hasEnded(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return true;
  }
}

describe("drain", () => {
  it("writes each login with its own time, merges those of one user, and empties the spool", async () => {
    await using there = await spooler();
    there.record("192.0.2.1", "bob", 600_000);
    there.record("192.0.2.1", "bob", 300_000);
    there.record("192.0.2.1", "eve", 60_000);
    const before = Date.now();
    const { status, stdout, stderr } = await there.popbsmtp("drain");
    assert.deepEqual([status, stdout.toString(), stderr.toString()], [0, "", ""]);
    assert.deepEqual(there.waiting(), []);
    const [eve, bob] = there.list();
    assert.deepEqual([eve?.user, eve?.logins, bob?.user, bob?.logins], ["eve", 1, "bob", 2]);
    const age = (time: string | undefined) => before - Date.parse(time ?? "");
    for (const [time, expected] of [
      [bob?.firstSeen, 600_000],
      [bob?.lastSeen, 300_000],
      [eve?.lastSeen, 60_000],
    ] as const) {
      assert.ok(Math.abs(age(time) - expected) < 5_000, `${time}: ${age(time)} ms ago`);
    }
  });

  it("changes nothing when the same login is drained twice", async () => {
    await using there = await spooler();
    const file = join(there.spool, there.record("192.0.2.1", "bob", 1_000));
    copyFileSync(file, join(there.spool, ".kept"));
    await there.popbsmtp("drain");
    const once = there.list();
    renameSync(join(there.spool, ".kept"), file);
    await there.popbsmtp("drain");
    assert.deepEqual(there.list(), once);
  });

  it("takes a time a little ahead for now, and sets aside one from before the clock was set back", async () => {
    await using there = await spooler();
    const later = there.record("192.0.2.1", "eve", -86_400_000);
    there.record("192.0.2.1", "bob", -30_000);
    await there.popbsmtp("drain");
    const [bob, ...others] = there.list();
    assert.ok(Date.parse(bob?.lastSeen ?? "") <= Date.now());
    assert.deepEqual([bob?.user, others], ["bob", []]);
    const why = readFileSync(join(there.spool, "bad", `${later}.why`), "utf8");
    assert.match(why, /before this host's clock was set back/);
  });

  it("keeps what is in `exclude` out of the store", async () => {
    await using there = await spooler('exclude = ["192.168.0.0/16", "2001:db8::/32"]');
    there.record("192.168.3.4", "bob");
    there.record("2001:db8::4", "bob");
    there.record("192.0.2.4", "bob");
    await there.popbsmtp("drain");
    assert.deepEqual(there.waiting(), []);
    assert.deepEqual(
      there.list().map(({ address }) => address),
      ["192.0.2.4"],
    );
  });

  it("sets aside what is no login's file, with the reason, and is not held up by it", async () => {
    await using there = await spooler();
    const bad = [there.record("host.example.org", "bob"), there.record("", "bob")];
    writeFileSync(join(there.spool, "1772000000000000.1"), "1\x00192.0.2.1\0imap\0cut off");
    symlinkSync("/etc/passwd", join(there.spool, "1772000000000001.1"));
    await runOk("mkfifo", [join(there.spool, "1772000000000002.1")]);
    writeFileSync(join(there.spool, "1772000000000003.1"), Buffer.alloc(100_000));
    mkdirSync(join(there.spool, "1772000000000004.1"));
    writeFileSync(join(there.spool, "notes.txt"), "somebody's");
    there.record("192.0.2.1", "bob");
    const { status, stderr } = await there.popbsmtp("drain");
    assert.equal(status, 0);
    assert.deepEqual(there.waiting(), []);
    assert.deepEqual(
      there.list().map(({ address }) => address),
      ["192.0.2.1"],
    );
    const aside = readdirSync(join(there.spool, "bad")).filter((name) => !name.endsWith(".why"));
    assert.equal(aside.length, bad.length + 6);
    assert.equal(readFileSync(join(there.spool, "bad/notes.txt"), "utf8"), "somebody's");
    for (const name of aside) {
      assert.ok(readFileSync(join(there.spool, "bad", `${name}.why`), "utf8").length > 5);
      assert.match(stderr.toString(), new RegExp(`^popbsmtp: spool: "${name}" set aside`, "m"));
    }
  });

  it("waits for a login that is still being written", async () => {
    await using there = await spooler();
    const file = join(there.spool, there.record("192.0.2.1", "bob"));
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, 10));
    await there.popbsmtp("drain");
    assert.equal(there.waiting().length, 1);
    writeFileSync(file, whole);
    await there.popbsmtp("drain");
    assert.deepEqual([there.waiting().length, there.list().length], [0, 1]);
  });

  it("says what to do where the spool is missing or no directory", async () => {
    await using there = await spooler();
    renameSync(there.spool, `${there.spool}.away`);
    for (const prepare of [() => undefined, () => writeFileSync(there.spool, "")]) {
      prepare();
      const { status, stderr } = await there.popbsmtp("drain");
      assert.equal(status, 77);
      assert.match(
        stderr.toString(),
        /^popbsmtp: spool: .*spool: cannot be written to by user id 0/,
      );
    }
  });
});

describe("the drain that a login starts", () => {
  it("commits the login before the mail program runs, cold and warm, and lingers", async () => {
    await using there = await spooler('linger = "30s"');
    // Node may need longer than 200 ms where the tests keep the machine busy
    assert.equal(await there.login("192.0.2.1", "cold", "--wait", "9000"), "");
    assert.equal(there.list().length, 1);
    const pid = there.drainAtWork();
    assert.ok(pid !== undefined);
    assert.equal(await there.login("192.0.2.1", "warm", "--wait", "9000"), "");
    assert.equal(there.list().length, 2);
    assert.equal(there.drainAtWork(), pid);
  });

  it("has nothing of the login's: no descriptor, no variable, no working directory, no parent", async () => {
    await using there = await spooler('linger = "30s"');
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    const proc = `/proc/${there.drainAtWork()}`;
    assert.equal(readFileSync(`${proc}/environ`, "utf8"), "");
    assert.equal(await runOk("readlink", [`${proc}/cwd`]), "/\n");
    const [, parent, , session] =
      readFileSync(`${proc}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    assert.notEqual(Number(parent), process.pid);
    assert.equal(Number(session), there.drainAtWork());
    for (const descriptor of ["0", "1", "2"]) {
      assert.equal(await runOk("readlink", [`${proc}/fd/${descriptor}`]), "/dev/null\n");
    }
  });

  it("is one, however many log in at once", async () => {
    await using there = await spooler('linger = "30s"');
    const users = Array.from({ length: 40 }, (_, number) => `user${number}`);
    await Promise.all(users.map((user) => there.login("192.0.2.1", user)));
    await waitUntil("all are drained", () => there.waiting().length === 0);
    // One that finds another at work leaves, which takes it a moment.
    await waitUntil("one is left", () => drainsAt(there.spool) === 1);
    assert.deepEqual(
      there
        .list()
        .map(({ user }) => user)
        .toSorted(),
      users.toSorted(),
    );
  });

  it("leaves when it has had nothing to do for `linger`, and takes its marks along", async () => {
    await using there = await spooler('linger = "200ms"');
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    await waitUntil("the drain has left", () => there.drainAtWork() === undefined);
    assert.equal(existsSync(join(there.spool, ".drain")), false);
    await there.login("192.0.2.1", "eve", "--wait", "0");
    await waitUntil("a new one has drained", () => there.waiting().length === 0);
  });

  it("ends at SIGTERM, having written what was there", async () => {
    await using there = await spooler('linger = "1h"');
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    const pid = there.drainAtWork();
    assert.ok(pid !== undefined);
    there.record("192.0.2.2", "eve");
    process.kill(pid, "SIGTERM");
    await waitUntil("it is gone", () => hasEnded(pid));
    assert.deepEqual(there.waiting(), []);
    assert.equal(there.drainAtWork(), undefined);
  });

  it("is replaced by the next login after kill -9, also where that login does not wait", async () => {
    await using there = await spooler('linger = "1h"');
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    const first = there.drainAtWork();
    assert.ok(first !== undefined);
    process.kill(first, "SIGKILL");
    await waitUntil("it is gone", () => hasEnded(first));
    await there.login("192.0.2.1", "eve", "--no-wait");
    await waitUntil("eve is drained", () => there.waiting().length === 0);
    assert.notEqual(there.drainAtWork(), first);
  });

  it("is replaced where its process id has gone to somebody else", async () => {
    await using there = await spooler('linger = "1h"');
    symlinkSync(`/proc/${process.pid}/fd/1`, join(there.spool, ".drain"));
    writeFileSync(join(there.spool, ".pid"), `${process.pid} 1\n`);
    await there.login("192.0.2.1", "bob", "--no-wait");
    await waitUntil("bob is drained", () => there.waiting().length === 0);
    assert.notEqual(there.drainAtWork(), process.pid);
  });

  it("goes on with a changed configuration, and with the old one while that is wrong", async () => {
    await using there = await spooler('linger = "1h"');
    const config = join(dirname(there.spool), "popbsmtp.toml");
    const old = readFileSync(config, "utf8");
    await there.login("192.0.2.1", "first", "--wait", "9000");
    const pid = there.drainAtWork();
    /** Logs in until `condition`: the drain is never idle. */
    const busy = (what: string, condition: (said: string) => boolean | Promise<boolean>) =>
      waitUntil(what, async () => condition(await there.login("192.0.2.2", "busy")));

    writeFileSync(config, `${old}port = 1\n`);
    await busy("the drain to say what is wrong", (said) =>
      /popbsmtp\.toml: store\.port: .*; the configuration stays as it was\n$/.test(said),
    );
    assert.match(await there.login("192.0.2.2", "busy", "--wait", "9000"), /store\.port/);
    assert.deepEqual(there.waiting(), []);

    writeFileSync(config, old.replace("popbsmtp.db", "other.db"));
    await there.popbsmtp("schema", "install");
    await busy("logins to be in the new store", () => there.list("other.db").length > 0);
    assert.equal(await there.login("192.0.2.2", "busy", "--wait", "9000"), "");
    await waitUntil("the spool to be empty", () => there.waiting().length === 0);
    writeFileSync(config, old);
    const users = there.list().map(({ user }) => user);
    assert.deepEqual(users.toSorted(), ["busy", "first"]);
    assert.equal(there.drainAtWork(), pid);
  });

  it("leaves word when the store is away, for which the next login does not wait", async () => {
    await using there = await spooler('linger = "30s"');
    const directory = join(dirname(there.spool), "db");
    renameSync(directory, `${directory}.away`);
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    assert.match(
      await there.login("192.0.2.1", "eve", "--wait", "9000"),
      /^popbsmtp: the login from 192\.0\.2\.1 waits in \S+: store: .*\n$/,
    );
    assert.equal(there.waiting().length, 2);
    renameSync(`${directory}.away`, directory);
    await waitUntil("the store is back", () => there.waiting().length === 0);
    assert.deepEqual(
      there
        .list()
        .map(({ user }) => user)
        .toSorted(),
      ["bob", "eve"],
    );
    assert.equal(await there.login("192.0.2.1", "zoe", "--wait", "9000"), "");
  });

  it("starts from compiled code that an earlier one left, and without it where that is not to be trusted", async () => {
    await using there = await spooler('linger = "0s"');
    const code = join(there.spool, ".code-program");
    const drained = async (user: string) => {
      assert.equal(await there.login("192.0.2.1", user, "--wait", "9000"), "");
      await waitUntil("the drain has left", () => there.drainAtWork() === undefined);
      await waitUntil("it has left its code", () => existsSync(code));
    };
    await drained("first");
    const whole = readFileSync(code);
    assert.ok(whole.length > 10_000);
    await drained("second");
    assert.deepEqual(readFileSync(code), whole, "taken as it is");

    // V8 itself refuses what is damaged; what anybody might have written is not even read
    writeFileSync(code, Buffer.concat([whole.subarray(0, 64), Buffer.alloc(1_000, "x")]));
    await drained("damaged");
    await waitUntil("it is replaced", () => readFileSync(code).length > 10_000);
    writeFileSync(code, "another version's");
    await drained("foreign");
    await waitUntil("it is replaced", () => readFileSync(code).length > 10_000);
    chmodSync(code, 0o666);
    await drained("writable");
    await waitUntil("it is replaced", () => (statSync(code).mode & 0o777) === 0o600);
    assert.equal(there.list().length, 5);
  });

  it("leaves word when it cannot even start", async () => {
    await using there = await spooler();
    const config = join(dirname(there.spool), "popbsmtp.toml");
    writeFileSync(config, `lifetime = "soon"\n${readFileSync(config, "utf8")}`);
    await there.login("192.0.2.1", "bob", "--wait", "9000");
    assert.match(
      await there.login("192.0.2.1", "bob"),
      /^popbsmtp: the login from 192\.0\.2\.1 waits in \S+: \S+popbsmtp\.toml: lifetime: .*\n$/,
    );
  });

  it("is not waited for by another user's wrapper that could not start one", async () => {
    await using there = await spooler();
    chmodSync(dirname(there.spool), 0o755);
    chmodSync(there.spool, 0o1733);
    // a checkout in root's home is nobody else's business
    const program = join(dirname(there.spool), "program");
    copyFileSync(POPBSMTP, program);
    chmodSync(program, 0o755);
    const { status, stderr } = await run(
      program,
      ["--config", join(dirname(there.spool), "popbsmtp.toml"), "/bin/true"],
      { env: { IP: "192.0.2.1", USER: "bob" }, uid: 65_534, gid: 65_534 },
    );
    assert.equal(status, 0);
    assert.match(stderr.toString(), /^popbsmtp: nobody drains \S+, and this user does not own it/);
    await there.popbsmtp("drain");
    assert.deepEqual(
      there.list().map(({ user }) => user),
      ["bob"],
    );
  });
});
