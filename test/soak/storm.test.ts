/**
 * Many log in at once while drains, and the database, are killed: every login is in the store in
 * the end, and none twice.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { runOk } from "../support/run.ts";
import { waitUntil } from "../support/wait-until.ts";

const LOGINS = 500;
const AT_ONCE = 50;

/** Every tenth login is by somebody who has just been there. */
const logins = Array.from({ length: LOGINS }, (_, index) => {
  const who = index % 10 === 9 ? index - 5 : index;
  const address = who % 2 === 0 ? `192.0.2.${String(who % 250)}` : `2001:db8::${who.toString(16)}`;
  return { address, user: `user${String(who)}@example.org`, again: who % 10 === 4 };
});

for (const driver of DRIVERS) {
  test(`of 500 logins, 50 at a time, none is lost and none is there twice, with ${driver}, whose drains are killed`, async () => {
    await using box = await install(driver);
    await using killer = killDrainsOf(box);
    await storm(box);
    await killer[Symbol.asyncDispose]();
    assert.ok(killer.killed() >= 2, `only ${String(killer.killed())} drains were killed at work`);
    await everyLoginIsThereOnce(box);
  });
}

for (const driver of ["pgsql", "mysql"] as const) {
  test(`nor with ${driver} killed in the middle, too, and started again`, async () => {
    await using box = await install(driver);
    const { server } = box;
    assert.ok(server !== undefined);
    await using killer = killDrainsOf(box);
    const ended = storm(box);
    await waitUntil("many to wait", () => box.waiting().length > AT_ONCE);
    await server.kill9();
    await server.start();
    await ended;
    await killer[Symbol.asyncDispose]();
    await everyLoginIsThereOnce(box);
  });
}

/** Logs everybody in. It is xargs that does it, so that this process has time to kill. */
async function storm({ program, config, user: { uid, gid } }: Installation): Promise<void> {
  const wrapper = ["sh", "-c", 'IP=$2 USER=$3 exec "$0" --config "$1" /bin/true', program, config];
  const words = logins.map(({ address, user }) => `${address} ${user}\n`);
  const stdout = await runOk("xargs", ["-P", String(AT_ONCE), "-n", "2", ...wrapper], {
    stdin: words.join(""),
    uid,
    gid,
  });
  assert.equal(stdout, "");
}

/**
 * Kills every drain until it is disposed of: some on their way up, the others when they have been
 * at work for a while, each for longer than the one before. A wrapper starts one every second or
 * two only, so there are drains from the command line, too.
 */
function killDrainsOf(box: Installation): AsyncDisposable & { readonly killed: () => number } {
  const stop = new AbortController();
  let killed = 0;
  const lives = async () => {
    for (let life = 0; !stop.signal.aborted; life++) {
      const drain = spawn(box.program, ["--config", box.config, "drain"], { stdio: "ignore" });
      const exited = once(drain, "exit");
      const { pid: own } = drain;
      assert.ok(own !== undefined);
      const alive = () => (drain.exitCode === null ? [...box.drains(), own] : box.drains());
      let worked = 0;
      for await (const tick of ticks(stop.signal)) {
        if (drain.exitCode !== null || (life % 3 === 0 && tick > life)) break;
        if (alive().includes(drainAtWork(box)) && ++worked > life) break;
      }
      const atWork = drainAtWork(box);
      for (const pid of alive()) {
        if (kill9(pid) && pid === atWork) killed += 1;
      }
      await exited;
    }
  };
  const ended = lives();
  return {
    killed: () => killed,
    [Symbol.asyncDispose]: () => {
      stop.abort();
      return ended;
    },
  };
}

/**
 * The process id of the drain that holds the spool, or was killed while it did; NaN where there is
 * none.
 */
function drainAtWork({ spool }: Installation): number {
  try {
    return Number.parseInt(readFileSync(join(spool, ".pid"), "utf8"), 10);
  } catch {
    return Number.NaN;
  }
}

/** 0, 1, 2, ... every few milliseconds. */
async function* ticks(signal: AbortSignal): AsyncGenerator<number> {
  for (let tick = 0; !signal.aborted; tick++) {
    yield tick;
    await setTimeout(2);
  }
}

/** False where it has ended by itself. */
function kill9(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

async function everyLoginIsThereOnce(box: Installation): Promise<void> {
  await box.popbsmtp("drain");
  assert.deepEqual(box.waiting(), []);
  assert.ok(!existsSync(join(box.spool, "bad")));
  const key = ({ address, user }: { address: string; user: string }) => `${address} ${user}`;
  const rows = await box.rows();
  const found = rows.map(key).toSorted(compare);
  assert.deepEqual(found, [...new Set(logins.map(key))].toSorted(compare));
  // a login that was committed, but still in the spool when its drain was killed, has been written
  // twice, and counts once
  const twice = new Set(logins.filter(({ again }) => again).map(key));
  for (const row of rows) {
    if (!twice.has(key(row))) assert.equal(row.logins, 1, key(row));
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
