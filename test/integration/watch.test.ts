/**
 * `popbsmtp watch`, the program as built: beside others that drain, killed, and without what it
 * needs.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import { loginLine, noiseLines, writeLog } from "../support/mail-log.ts";
import { run } from "../support/run.ts";
import { startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { startWatch, startWatchWithoutInotify } from "../support/watch.ts";

/** Where a pipe begins, what came before is not known: for half a minute nobody counts. */
const EARLIER = noiseLines(0, Date.now() - 60_000);

/** The users that are in the store, each with the number of its logins. */
async function counted(box: Installation): Promise<Readonly<Record<string, number>>> {
  return Object.fromEntries((await box.rows()).map(({ user, logins }) => [user, logins]));
}

/** Each of these once, and nobody else. */
function onceEach(count: number): Readonly<Record<string, number>> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`u${n}`, 1]));
}

function expectUsers(box: Installation, count: number): Promise<void> {
  return waitUntil(
    `${count} users to be recorded once`,
    async () => {
      assert.deepEqual(await counted(box), onceEach(count));
      return true;
    },
    { timeout: 20_000, interval: 100 },
  );
}

/** How far the log has been read. */
function offset({ spool }: Installation): number {
  const directory = readdirSync(spool).find((name) => name.startsWith(".watch-"));
  if (directory === undefined) return 0;
  try {
    return JSON.parse(readFileSync(join(spool, directory, "position"), "utf8")).place.offset;
  } catch {
    return 0;
  }
}

test("a login is in the store as soon as it is in the log, and a wrapper's beside it", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("u0"));
  await using watch = startWatch(box, log);
  await expectUsers(box, 1);
  appendFileSync(log, loginLine("u1", "2001:db8::1"));
  await expectUsers(box, 2);
  const { stderr } = await box.wrapper({ IP: "192.0.2.7", USER: "u2" });
  assert.equal(stderr.toString(), "");
  await expectUsers(box, 3);
  assert.deepEqual(box.drains(), []);
  assert.equal(await watch.stop(), 0);
  assert.equal(watch.log(), "");
});

test("killed again and again while it drains, it loses nobody and records nobody twice", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  const writer = writeLog(log);
  for (let turn = 0; turn < 8; turn++) {
    const before = offset(box);
    await using watch = startWatch(box, log);
    await waitUntil("it to read on", () => offset(box) > before);
    await watch.kill9();
  }
  await writer.stop();
  await using watch = startWatch(box, log);
  await expectUsers(box, writer.users);
  assert.equal(watch.log(), "");
});

test("killed again and again while a daemon drains, it counts each login of a user once", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box);
  const log = join(box.directory, "mail.log");
  const writer = writeLog(log, () => "bob");
  for (let turn = 0; turn < 8; turn++) {
    const before = offset(box);
    await using watch = startWatch(box, log);
    await waitUntil("it to read on", () => offset(box) > before);
    await watch.kill9();
  }
  await writer.stop();
  await box.popbsmtp("watch", "--once", log);
  assert.deepEqual(await counted(box), { bob: writer.users });
  assert.equal(await serve.stop(), 0);
});

test("it gives way to a daemon, and drains again when that has gone", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("u0"));
  await using watch = startWatch(box, log);
  const drainer = () => readFileSync(join(box.spool, ".pid"), "utf8");
  await waitUntil("it to drain", () => drainer().startsWith(`${watch.pid} `));
  await using serve = await startServe(box);
  await waitUntil("the daemon to drain", () => drainer().startsWith(`${serve.pid} `));
  appendFileSync(log, loginLine("u1"));
  await expectUsers(box, 2);
  await serve.kill9();
  await waitUntil("it to drain again", () => drainer().startsWith(`${watch.pid} `));
  appendFileSync(log, loginLine("u2"));
  await expectUsers(box, 3);
  assert.equal(watch.log(), "");
});

test("with two stores each has the login, and what one of them has missed comes later", async () => {
  await using box = await install("sqlite");
  const other = join(box.directory, "db", "other.db");
  const text = readFileSync(box.config, "utf8").replace("[store]", "[[store]]");
  writeFileSync(box.config, `${text}\n[[store]]\ndriver = "sqlite"\npath = "${other}"\n`);
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("u0"));
  await using watch = startWatch(box, log);
  const has = (path: string) => {
    using database = new DatabaseSync(path, { readOnly: true });
    return database.prepare("SELECT logins FROM popbsmtp WHERE user = 'u0'").get()?.["logins"];
  };
  await waitUntil("the one to have it", () => has(box.database) === 1);
  await box.popbsmtp("schema", "install");
  await waitUntil("the other to have it", () => has(other) === 1, { timeout: 20_000 });
  assert.equal(await watch.stop(), 0);
});

test("with --once it ends at the end, and goes on there the next time", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  for (let n = 0; n < 3; n++) {
    appendFileSync(log, loginLine(`u${n}`));
    assert.equal(await box.popbsmtp("watch", "--once", log), "");
    assert.deepEqual(await counted(box), onceEach(n + 1));
  }
});

test("a login that is out of time authorizes nobody, read again or not", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("early", "192.0.2.1", Date.now() - 2 * 3_600_000));
  await box.popbsmtp("watch", "--once", log);
  assert.deepEqual(await counted(box), {});
  await box.popbsmtp("watch", "--once", "--since", "1d", log);
  assert.deepEqual(await counted(box), { early: 1 });
  const { status } = await run(box.program, ["--config", box.config, "check", "192.0.2.1"]);
  assert.equal(status, 1);
});

test("where the kernel has no inotify instance left, it looks for itself, and says so once", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("u0"), { mode: 0o644 });
  await using watch = startWatchWithoutInotify(box, log);
  await expectUsers(box, 1);
  // written while it waits
  appendFileSync(log, loginLine("u1", "2001:db8::1"));
  await expectUsers(box, 2);
  await box.wrapper({ IP: "192.0.2.7", USER: "u2" });
  await expectUsers(box, 3);
  assert.deepEqual(box.drains(), []);
  assert.equal(await watch.stop(), 0);
  const told = watch.log().trimEnd().split("\n");
  assert.equal(told.length, 1, watch.log());
  assert.match(
    told[0] ?? "",
    /^popbsmtp: .* raise fs\.inotify\.max_user_instances, as in: sysctl /,
  );
});

test("standard input is read as it comes, and to its end", async () => {
  await using box = await install("sqlite");
  const child = spawn(box.program, ["--config", box.config, "watch", "-"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  child.stdin.write(EARLIER + loginLine("u0"));
  await expectUsers(box, 1);
  child.stdin.end(loginLine("u1").trimEnd());
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(await counted(box), onceEach(2));
});

test("standard input that never ends is ended by SIGTERM", async () => {
  await using box = await install("sqlite");
  const child = spawn(box.program, ["--config", box.config, "watch", "-"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  child.stdin.write(EARLIER + loginLine("u0"));
  await expectUsers(box, 1);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("a log that it may not read: it says what to do", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("u0"), { mode: 0o640 });
  const [, gid = ""] = /^adm:x:(\d+):/m.exec(readFileSync("/etc/group", "utf8")) ?? [];
  chownSync(log, 0, Number(gid));
  const result = await run(box.program, ["--config", box.config, "watch", log]);
  assert.equal(result.status, 77);
  assert.equal(
    result.stderr.toString(),
    `popbsmtp: ${log}: permission denied; run: usermod -aG adm ${box.user.name}, and start popbsmtp again\n`,
  );
  chmodSync(log, 0o600);
  const { stderr } = await run(box.program, ["--config", box.config, "watch", log]);
  assert.match(stderr.toString(), /permission denied; let the user nobody read it\n$/);
});

test("with --once a log that is not there is an error, and so is a directory", async () => {
  await using box = await install("sqlite");
  const readOnce = (path: string) =>
    run(box.program, ["--config", box.config, "watch", "--once", path]);
  const missing = await readOnce("/no/such/mail.log");
  assert.equal(missing.status, 64);
  assert.equal(missing.stderr.toString(), "popbsmtp: /no/such/mail.log: there is no such file\n");
  const directory = await readOnce(box.directory);
  assert.equal(directory.status, 77);
  assert.match(directory.stderr.toString(), /EISDIR/);
});

test("a log in which nothing is recognised: it says so, with a line of it that no terminal obeys", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, "\u001B[2Jhello\nworld\n");
  const { status, stderr } = await run(box.program, [
    "--config",
    box.config,
    "watch",
    "--once",
    log,
  ]);
  assert.equal(status, 0);
  assert.equal(
    stderr.toString(),
    `popbsmtp: ${log}: 2 lines read, none of them from an IMAP or POP3 server; the first: \\u001b[2Jhello\n`,
  );
});

test("names of files that somebody has made are shown so that no terminal obeys them", async () => {
  await using box = await install("sqlite");
  const clear = "\u009b2J";
  const log = join(box.directory, `${clear}.log`);
  writeFileSync(log, `${loginLine("bob", "nowhere")}hello\n`);
  writeFileSync(join(box.spool, `x${clear}`), "");
  await using watch = startWatch(box, log);
  await waitUntil("both to be told", () =>
    ["does not count", "set aside"].every((what) => watch.log().includes(what)),
  );
  assert.ok(!watch.log().includes(clear), watch.log());
  assert.match(watch.log(), /\\u009b2J\.log: a login does not count/);
});

test("a log full of logins that do not count: some of them are shown", async () => {
  await using box = await install("sqlite");
  const log = join(box.directory, "mail.log");
  writeFileSync(log, loginLine("bob", "nowhere").repeat(1_000));
  const command = ["--config", box.config, "watch", "--once", log];
  const { status, stderr } = await run(box.program, command);
  assert.equal(status, 0);
  const lines = stderr.toString().trimEnd().split("\n");
  assert.equal(lines.length, 11);
  assert.match(lines[0] ?? "", /: a login does not count, contains no address: .*rip=nowhere/);
  assert.equal(lines.at(-1), `popbsmtp: ${log}: further ones are not shown`);
});

test("a time that is none", async () => {
  await using box = await install("sqlite");
  const { status, stderr } = await run(box.program, [
    "--config",
    box.config,
    "watch",
    "--since",
    "soon",
  ]);
  assert.equal(status, 64);
  assert.match(stderr.toString(), /^popbsmtp: --since: soon is not a time; expected /);
});
