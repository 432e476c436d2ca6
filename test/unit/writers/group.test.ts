import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "node:test";
import { RowRefusedError, StoreAwayError } from "../../../src/lib/errors.ts";
import { parseAddress } from "../../../src/login/address.ts";
import type { Login } from "../../../src/login/login.ts";
import type { Sink } from "../../../src/stores/store.ts";
import { WriterGroup } from "../../../src/writers/group.ts";
import { Writer } from "../../../src/writers/writer.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const NOW = 1_772_000_000_000;

function login(user: string): Login {
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  return { address, user, service: "imap", time: NOW };
}

/** A store that commits, fails, or keeps its statement until the test ends it. */
class Store implements Sink {
  readonly name: string;
  readonly users: string[] = [];
  failure: Error | undefined;
  hangs = false;
  #ends: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  async authorize(batch: readonly Login[]): Promise<void> {
    if (this.hangs) await new Promise<void>((resolve) => this.#ends.push(resolve));
    if (this.failure !== undefined) throw this.failure;
    this.users.push(...batch.map(({ user }) => user));
  }

  /** Ends the statements that hang. */
  async end(): Promise<void> {
    this.hangs = false;
    for (const end of this.#ends.splice(0)) end();
    await new Promise(setImmediate);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function group(...names: readonly [string, ...string[]]) {
  const directory = temporaryDirectory();
  const told: (string | undefined)[] = [];
  const stores = names.map((name) => new Store(name));
  const writer = (name: string, index: number) => {
    const open = () => stores[index] ?? new Store(name);
    return new Writer({
      open,
      reopen: () => Promise.resolve(open),
      spool: join(directory.path, name),
      now: () => NOW,
      onHealth: (why) => told.push(why),
    });
  };
  const [first, ...others] = names;
  const writers = new WriterGroup(
    [writer(first, 0), ...others.map((name, index) => writer(name, index + 1))],
    { isAwaited: true, report: () => undefined },
  );
  const [one, two] = stores;
  assert.ok(one !== undefined);
  return {
    writers,
    one,
    two: two ?? one,
    told,
    /** How many logins wait for a store. */
    waiting: (name: string) => {
      const spool = join(directory.path, name);
      return existsSync(spool) ? readdirSync(spool).filter((file) => /^\d/.test(file)).length : 0;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("a login on its way into two stores", () => {
  it("is done when both have committed it", async () => {
    await using there = group("one", "two");
    await there.writers.record(login("ann")).done;
    assert.deepEqual([there.one.users, there.two.users], [["ann"], ["ann"]]);
  });

  it("is done when one has committed it and the other, which is away, keeps it", async () => {
    await using there = group("one", "two");
    there.one.failure = new StoreAwayError("gone");
    await there.writers.record(login("ann")).done;
    assert.deepEqual([there.waiting("one"), there.two.users], [1, ["ann"]]);
    assert.equal(there.writers.away, undefined);
  });

  it("does not wait for one that takes long, which counts as away until its statement has ended", async () => {
    await using there = group("one", "two");
    there.one.hangs = true;
    await there.writers.record(login("ann")).done;
    assert.equal(there.waiting("one"), 1);
    await there.writers.record(login("bob")).done;
    assert.equal(there.waiting("one"), 2);
    assert.deepEqual(there.told, ["store: one: is slow to answer"]);
    await there.one.end();
    assert.deepEqual(there.told, ["store: one: is slow to answer", undefined]);
    await there.writers.record(login("eve")).done;
    assert.deepEqual(there.one.users, ["ann", "eve"]);
  });

  it("is in no spool where none has committed it", async () => {
    await using there = group("one", "two");
    there.one.failure = new StoreAwayError("one is gone");
    there.two.failure = new StoreAwayError("two is gone");
    await assert.rejects(there.writers.record(login("ann")).done, {
      name: "StoreAwayError",
      message: "one is gone; two is gone",
    });
    assert.deepEqual([there.waiting("one"), there.waiting("two")], [0, 0]);
    assert.equal(there.writers.away, "one is gone; two is gone");
  });

  it("is tried in both where both are away, since there is nothing else", async () => {
    await using there = group("one", "two");
    there.one.failure = new StoreAwayError("one is gone");
    there.two.failure = new StoreAwayError("two is gone");
    await assert.rejects(there.writers.record(login("ann")).done, StoreAwayError);
    there.two.failure = undefined;
    await there.writers.record(login("bob")).done;
    assert.deepEqual([there.waiting("one"), there.two.users], [1, ["bob"]]);
  });

  it("that one refuses and the other has not committed is for a drain to sort out", async () => {
    await using there = group("one", "two");
    there.one.failure = new RowRefusedError("too long");
    there.two.failure = new StoreAwayError("gone");
    await assert.rejects(there.writers.record(login("ann")).done, RowRefusedError);
  });

  it("that is given up goes to the caller, unless one has committed it", async () => {
    await using there = group("one", "two");
    there.one.hangs = true;
    there.two.hangs = true;
    assert.equal(there.writers.record(login("ann")).giveUp(), false);
    assert.match(there.writers.away ?? "", /one: is slow .*two: is slow/);
    await Promise.all([there.one.end(), there.two.end()]);
    there.one.hangs = true;
    const recording = there.writers.record(login("bob"));
    await new Promise(setImmediate);
    assert.equal(recording.giveUp(), true);
    assert.equal(there.waiting("one"), 1);
  });

  it("that is given up before its statement began is not written", async () => {
    await using there = group("one");
    there.one.hangs = true;
    void there.writers.record(login("ann")).done;
    const recording = there.writers.record(login("bob"));
    assert.equal(recording.giveUp(), false);
    await there.one.end();
    await there.writers.idle();
    assert.deepEqual(there.one.users, ["ann"]);
  });
});

describe("whether a store is away", () => {
  it("follows from its writes, whoever makes them", async () => {
    await using there = group("one");
    there.one.failure = new StoreAwayError("gone");
    await assert.rejects(there.writers.record(login("ann")).done);
    assert.equal(there.writers.away, "gone");
    there.one.failure = undefined;
    await there.writers.authorize([login("ann")], NOW);
    assert.equal(there.writers.away, undefined);
    assert.deepEqual(there.told, ["gone", undefined]);
  });

  it("is said once, however often it fails", async () => {
    await using there = group("one");
    there.one.failure = new StoreAwayError("gone");
    for (let times = 0; times < 3; times++) {
      await assert.rejects(there.writers.authorize([login("ann")], NOW));
    }
    assert.deepEqual(there.told, ["gone"]);
  });

  it("is not known before it was tried, nor is a refused row a reason", async () => {
    await using there = group("one");
    assert.equal(there.writers.writers[0].health.isUp, undefined);
    there.one.failure = new RowRefusedError("too long");
    await assert.rejects(there.writers.authorize([login("ann")], NOW), RowRefusedError);
    assert.equal(there.writers.writers[0].health.isUp, true);
  });

  it("does not change by what a drain commits while a login's statement hangs", async () => {
    await using there = group("one");
    there.one.hangs = true;
    const recording = there.writers.record(login("ann"));
    await sleep(0);
    assert.equal(recording.giveUp(), false);
    there.one.hangs = false;
    await there.writers.authorize([login("bob")], NOW);
    assert.match(there.writers.away ?? "", /is slow/);
    await there.one.end();
    await sleep(0);
    assert.equal(there.writers.away, undefined);
  });
});
