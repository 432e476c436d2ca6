/**
 * The wrapper where the daemon is at work, has just been killed, or comes while a drain lingers.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { startServe, type Serve } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/**
 * Nothing here is about the deadline; and a busy machine may take longer than the 200 ms that it
 * is.
 */
const WAIT = ["--wait", "9000"];

/**
 * Logs in through the wrapper, which becomes `program`; returns what that writes, once the login is
 * in the store.
 */
async function login(
  box: Installation,
  user: string,
  program: readonly string[] = ["/bin/true"],
): Promise<string> {
  const env = { IP: "192.0.2.1", USER: user };
  const { status, stdout, stderr } = await box.wrapper(env, [...WAIT, ...program]);
  assert.equal(status, 0);
  // on a busy machine a drain may say so of its first statement, and then nobody waits
  assert.match(stderr.toString(), /^(?:popbsmtp: .* is slow to answer\n)?$/);
  await waitUntil("the login to be in the store", () => box.waiting().length === 0);
  return stdout.toString();
}

/** A login that does not wait for its commit. */
async function leave(box: Installation, user: string): Promise<void> {
  const env = { IP: "192.0.2.1", USER: user };
  const { status } = await box.wrapper(env, ["--no-wait", "/bin/true"]);
  assert.equal(status, 0);
}

async function users(box: Installation): Promise<readonly string[]> {
  return (await box.rows()).map(({ user }) => user).toSorted();
}

/** Who drains the spool, as wrappers are told. */
function drainer(box: Installation): number {
  return Number.parseInt(readFileSync(join(box.spool, ".pid"), "utf8"), 10);
}

/**
 * The daemon, once it drains the spool: it may be ready for Dovecot and Postfix a moment before.
 */
async function startDraining(box: Installation): Promise<Serve> {
  const serve = await startServe(box);
  await waitUntil("the daemon to drain", () => drainer(box) === serve.pid);
  return serve;
}

/** The marks of wrappers that took it upon them to start a drain. */
function starts(box: Installation): readonly string[] {
  return readdirSync(box.spool).filter((name) => name.startsWith(".start-"));
}

for (const driver of DRIVERS) {
  test(`beside the daemon the row is in ${driver} before the mail program runs`, async () => {
    await using box = await install(driver);
    await using serve = await startDraining(box);
    // what the wrapper becomes looks into the store
    const list = [box.program, "--config", box.config, "list", "--json"];
    for (const user of ["bob", "eve"]) {
      const rows: readonly { user: string }[] = JSON.parse(await login(box, user, list));
      assert.ok(
        rows.some((row) => row.user === user),
        user,
      );
    }
    assert.equal(drainer(box), serve.pid);
  });
}

test("beside the daemon no drain is started, and nothing lingers", async () => {
  await using box = await install("sqlite");
  await using serve = await startDraining(box);
  const names = Array.from({ length: 20 }, (_, number) => `user${number}`);
  await Promise.all(names.map((user) => login(box, user)));
  assert.deepEqual(await users(box), names.toSorted());
  assert.deepEqual([box.drains(), starts(box), drainer(box)], [[], [], serve.pid]);
});

test("with the daemon freshly killed, the next login's drain takes what it left and its own", async () => {
  await using box = await install("sqlite", 'linger = "1h"');
  await using serve = await startDraining(box);
  await login(box, "committed");
  serve.pause();
  await leave(box, "left");
  assert.equal(box.waiting().length, 1);
  await serve.kill9();
  assert.deepEqual(await users(box), ["committed"]);

  await login(box, "next");
  await waitUntil("both to be in the store", () => box.waiting().length === 0);
  assert.deepEqual(await users(box), ["committed", "left", "next"]);
  assert.deepEqual(box.drains(), [drainer(box)]);
});

test("with the daemon stopped, the next login starts a drain", async () => {
  await using box = await install("sqlite", 'linger = "1h"');
  await using serve = await startDraining(box);
  assert.equal(await serve.stop(), 0);
  assert.deepEqual(box.drains(), []);
  await login(box, "next");
  assert.deepEqual(await users(box), ["next"]);
  assert.deepEqual(box.drains(), [drainer(box)]);
});

test("a daemon that starts while a drain lingers takes over", async () => {
  await using box = await install("sqlite", 'linger = "1h"');
  await login(box, "first");
  const [lingering] = box.drains();
  assert.equal(lingering, drainer(box));

  await using serve = await startDraining(box);
  await waitUntil("the drain to be gone", () => box.drains().length === 0);
  await login(box, "second");
  assert.deepEqual(await users(box), ["first", "second"]);
  assert.deepEqual([box.drains(), drainer(box)], [[], serve.pid]);
});

test("a daemon that starts while a drain is held up by the store takes over, and loses nothing", async () => {
  await using box = await install("pgsql", 'linger = "1h"');
  await login(box, "first");
  await box.server?.stop();
  await leave(box, "held up");
  await waitUntil("the drain to notice", () => readdirSync(box.spool).includes(".away"));

  await using _ = await startDraining(box);
  assert.equal(box.waiting().length, 1);
  await box.server?.start();
  await waitUntil("it to be in the store", () => box.waiting().length === 0);
  assert.deepEqual(await users(box), ["first", "held up"]);
  assert.deepEqual(box.drains(), []);
});

test("no login is lost of those that come while the daemon is started, killed and stopped", async () => {
  await using box = await install("sqlite", 'linger = "1h"');
  const names: string[] = [];
  const enough = new AbortController();
  const keepLoggingIn = async (who: string) => {
    for (let number = 0; !enough.signal.aborted; number++) {
      const user = `${who}${number}`;
      await leave(box, user);
      names.push(user);
    }
  };
  const logins = Promise.all(["a", "b"].map(keepLoggingIn));
  try {
    await using serve = await startDraining(box);
    await serve.kill9();
    await serve.start();
    await serve.stop();
  } finally {
    enough.abort();
    await logins;
  }
  await waitUntil("all to be in the store", () => box.waiting().length === 0);
  assert.ok(names.length > 0);
  assert.deepEqual(await users(box), names.toSorted());
});
