import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseAddress, parseNetwork } from "../../../src/login/address.ts";
import type { Log } from "../../../src/daemon/log/log.ts";
import type { Metrics } from "../../../src/daemon/metrics/metrics.ts";
import { Recorder } from "../../../src/daemon/recorder.ts";
import { RowRefusedError, StoreAwayError } from "../../../src/lib/errors.ts";
import type { Login, Outcome } from "../../../src/login/login.ts";
import { parseEntry } from "../../../src/spool/entry.ts";
import { InHand } from "../../../src/spool/in-hand.ts";
import { Spool } from "../../../src/spool/spool.ts";
import type { Sink } from "../../../src/stores/store.ts";
import { WriterGroup } from "../../../src/writers/group.ts";
import { Writer } from "../../../src/writers/writer.ts";
import { configWith, serveWith } from "../../support/config.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const NOW = 1_772_000_000_000;

function login(user: string, address = "192.0.2.1"): Login {
  const parsed = parseAddress(address);
  assert.ok(parsed !== undefined);
  return { address: parsed, user, service: "imap", time: NOW };
}

/** A store whose statements end when, and how, the test says. */
class SlowStore implements Sink {
  readonly name = "slow";
  readonly batches: (readonly Login[])[] = [];
  readonly #underWay: ((error?: Error) => void)[] = [];

  authorize(batch: readonly Login[]): Promise<void> {
    this.batches.push(batch);
    return new Promise((resolve, reject) => {
      this.#underWay.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends the statement that has been under way for longest, or the next one. */
  async end(error?: Error): Promise<void> {
    while (this.#underWay.length === 0) await new Promise(setImmediate);
    this.#underWay.shift()?.(error);
    await new Promise(setImmediate);
  }

  /** Ends the statement that began last. */
  async endLast(): Promise<void> {
    this.#underWay.pop()?.();
    await new Promise(setImmediate);
  }
}

function recorder(deadline: number, exclude: readonly string[] = []) {
  const directory = temporaryDirectory();
  const spool = new Spool(join(directory.path, "spool"));
  mkdirSync(spool.path);
  const store = new SlowStore();
  const inHand = new InHand(spool.path);
  const noted: string[] = [];
  const forgotten: string[] = [];
  const outcomes: string[] = [];
  const errors: string[] = [];
  const silent = () => undefined;
  const log: Log = {
    debug: silent,
    info: silent,
    warning: silent,
    error: (event) => errors.push(event),
  };
  const metrics: Pick<Metrics, "login"> = {
    login: (_service, outcome) => outcomes.push(outcome),
  };
  const open = () => store;
  const writer = new Writer({
    open,
    reopen: () => Promise.resolve(open),
    spool: spool.path,
    now: () => NOW,
  });
  const writers = new WriterGroup([writer], { isAwaited: true, report: silent });
  const networks = exclude.flatMap((text) => parseNetwork(text) ?? []);
  const made = new Recorder({
    spool,
    config: () => configWith({ exclude: networks, serve: serveWith({ deadline }) }),
    writers: () => writers,
    note: ({ user }) => noted.push(user),
    forget: ({ user }) => forgotten.push(user),
    inHand,
    log,
    metrics,
  });
  return {
    record: (user: string, address?: string): Promise<Outcome> => made.record(login(user, address)),
    made,
    writers,
    store,
    noted,
    forgotten,
    /** What the next daemon would find if this one were killed now. */
    inHand: () => heldIn(spool.path),
    outcomes,
    errors,
    spool,
    spooled: () =>
      spool
        .scan()
        .entries.map((entry) => parseEntry(entry, spool.read(entry.name) ?? Buffer.of())?.user),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

function heldIn(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith(".in-hand-"))
    .flatMap((name) => readFileSync(join(directory, name), "utf8").split("\n"))
    .flatMap((line) => /^\{.*"user":"(\w+)"/.exec(line)?.[1] ?? []);
}

describe("a live login", () => {
  it("is committed, noted before anybody is let in, and counted after that", async () => {
    await using there = recorder(10_000);
    const outcome = there.record("bob");
    await there.store.end();
    assert.equal(await outcome, "committed");
    assert.deepEqual([there.noted, there.outcomes, there.spooled()], [["bob"], [], []]);
    // counted and logged when whoever waits has been answered
    await new Promise(setImmediate);
    assert.deepEqual(there.outcomes, ["committed"]);
  });

  it("waits for the statement under way, together with all that come meanwhile", async () => {
    await using there = recorder(10_000);
    const outcomes = [there.record("a")];
    await new Promise(setImmediate);
    outcomes.push(...["b", "c", "d"].map((user) => there.record(user)));
    await there.store.end();
    await there.store.end();
    assert.deepEqual(
      await Promise.all(outcomes),
      Array.from({ length: 4 }, () => "committed"),
    );
    const users = there.store.batches.map((batch) => batch.map(({ user }) => user));
    assert.deepEqual(users, [["a"], ["b", "c", "d"]]);
  });

  it("goes to the spool at the deadline, and those after it at once until the store is back", async () => {
    await using there = recorder(20);
    assert.equal(await there.record("late"), "spooled");
    assert.equal(await there.record("after"), "spooled");
    assert.deepEqual(there.spooled(), ["late", "after"]);
    assert.deepEqual(there.noted, ["late", "after"]);
    assert.equal(there.store.batches.length, 1);
    // another statement's success says nothing about the one that hangs
    const drained = there.writers.authorize([login("drained")], NOW);
    await new Promise(setImmediate);
    await there.store.endLast();
    await drained;
    assert.equal(await there.record("meanwhile"), "spooled");
    assert.equal(there.store.batches.length, 2);
    await there.store.end();
    const outcome = there.record("again");
    await there.store.end();
    assert.equal(await outcome, "committed");
  });

  it("goes to the spool at once where nobody is to wait", async () => {
    await using there = recorder(0);
    assert.equal(await there.record("bob"), "spooled");
    assert.deepEqual([there.store.batches.length, there.spooled()], [0, ["bob"]]);
  });

  for (const error of [new StoreAwayError("gone"), new RowRefusedError("too long")]) {
    it(`goes to the spool where the store fails: ${error.name}`, async () => {
      await using there = recorder(10_000);
      const outcomes = [there.record("a"), there.record("b")];
      await there.store.end(error);
      assert.deepEqual(await Promise.all(outcomes), ["spooled", "spooled"]);
      assert.deepEqual(there.spooled(), ["a", "b"]);
      // one that can never be committed must not relay: the drain finds out which
      assert.deepEqual(there.noted, error instanceof RowRefusedError ? [] : ["a", "b"]);
    });
  }

  it("from an excluded network is let in and recorded nowhere", async () => {
    await using there = recorder(10_000, ["192.168.0.0/16"]);
    assert.equal(await there.record("bob", "192.168.1.1"), "excluded");
    assert.deepEqual([there.store.batches.length, there.spooled(), there.noted], [0, [], []]);
  });

  it("is let in, and said to be lost, where neither store nor spool takes it", async () => {
    await using there = recorder(20);
    rmSync(there.spool.path, { recursive: true });
    assert.equal(await there.record("bob"), "lost");
    assert.deepEqual([there.errors, there.noted], [["login-lost"], []]);
  });

  it("goes to the store as soon as that is back, where the spool takes none", async () => {
    await using there = recorder(10_000);
    rmSync(there.spool.path, { recursive: true });
    const lost = there.record("bob");
    await there.store.end(new StoreAwayError("gone"));
    assert.equal(await lost, "lost");
    const outcome = there.record("eve");
    await there.store.end();
    assert.equal(await outcome, "committed");
    assert.deepEqual(there.errors, ["login-lost"]);
  });

  it("leaves the old stores alone once the statement under way has ended", async () => {
    await using there = recorder(10_000);
    const outcome = there.record("a");
    let idle = false;
    const waiting = there.writers.idle().then(() => (idle = true));
    assert.equal(idle, false);
    await there.store.end();
    await waiting;
    assert.equal(await outcome, "committed");
  });

  it("gets a file of its own in the spool, however many come in a microsecond", async () => {
    await using there = recorder(0);
    await Promise.all(Array.from({ length: 100 }, (_, number) => there.record(`user${number}`)));
    assert.equal(readdirSync(there.spool.path).length, 100);
    assert.equal(new Set(there.spooled()).size, 100);
  });
});

describe("a login that nobody is held for", () => {
  it("counts, and would survive this process, before the store has answered", async () => {
    await using there = recorder(10_000);
    const kept = there.made.keep(login("bob"));
    assert.deepEqual([there.noted, there.inHand()], [["bob"], ["bob"]]);
    await there.store.end();
    assert.equal(await kept, "committed");
    assert.deepEqual([there.noted, there.inHand()], [["bob", "bob"], []]);
  });

  it("is written together with those that come soon after it", async () => {
    await using there = recorder(10_000);
    const kept = [there.made.keep(login("bob"))];
    await new Promise(setImmediate);
    kept.push(there.made.keep(login("eve")));
    // as at the end of the daemon
    const idle = there.made.idle();
    await there.store.end();
    assert.deepEqual(await Promise.all(kept), ["committed", "committed"]);
    await idle;
    const users = there.store.batches.map((batch) => batch.map(({ user }) => user));
    assert.deepEqual(users, [["bob", "eve"]]);
    assert.deepEqual(there.inHand(), []);
  });

  it("is in the spool when it is no longer in hand", async () => {
    await using there = recorder(20);
    assert.equal(await there.made.keep(login("bob")), "spooled");
    assert.deepEqual([there.spooled(), there.inHand()], [["bob"], []]);
  });

  it("counts no longer where neither store nor spool takes it", async () => {
    await using there = recorder(10_000);
    rmSync(there.spool.path, { recursive: true });
    const kept = there.made.keep(login("bob"));
    await there.store.end(new StoreAwayError("away"));
    assert.equal(await kept, "lost");
    assert.deepEqual([there.forgotten, there.errors], [["bob"], ["login-lost"]]);
  });

  it("counts no longer where the store refuses it, unless the drain commits it", async () => {
    await using there = recorder(10_000);
    const kept = there.made.keep(login("bob"));
    await there.store.end(new RowRefusedError("too long"));
    assert.equal(await kept, "spooled");
    assert.deepEqual([there.noted, there.forgotten, there.spooled()], [["bob"], ["bob"], ["bob"]]);
  });

  it("is not recorded from an excluded address", async () => {
    await using there = recorder(10_000, ["192.0.2.0/24"]);
    assert.equal(await there.made.keep(login("bob")), "excluded");
    assert.deepEqual([there.spooled(), there.noted, there.inHand()], [[], [], []]);
  });
});
