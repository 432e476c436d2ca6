import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fields, Log } from "../../../src/daemon/log/log.ts";
import { UnsupportedError } from "../../../src/lib/errors.ts";
import { firstWait, startPurger, type PurgerOptions } from "../../../src/daemon/purger.ts";
import type { PurgeOptions, Store } from "../../../src/stores/store.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { memoryStore } from "../commands/memory-store.ts";

type Purge = (options: PurgeOptions) => Promise<number>;

/**
 * A purger at work, without pauses unless `options` say so, on a store that purges like this; and
 * what became of it.
 */
function started(purge: Purge, options: Partial<PurgerOptions> = {}) {
  const seen = {
    open: 0,
    most: 0,
    begun: 0,
    rows: 0,
    logged: new Array<[string, Fields | undefined]>(),
  };
  const store = (): Store => ({
    ...memoryStore(),
    purge: async (how = {}) => {
      seen.begun += 1;
      return purge(how);
    },
    close: async () => void (seen.open -= 1),
  });
  const log: Log = {
    debug: () => undefined,
    info: (event, fields) => void seen.logged.push([event, fields]),
    warning: () => undefined,
    error: (event, fields) => void seen.logged.push([event, fields]),
  };
  const purger = startPurger({
    interval: 1,
    first: 0,
    open: async () => {
      seen.open += 1;
      seen.most = Math.max(seen.most, seen.open);
      return store();
    },
    log,
    metrics: { purged: (rows) => void (seen.rows += rows) },
    ...options,
  });
  return { purger, seen };
}

test("it purges again and again, one at a time, with a store that it closes", async () => {
  const { purger, seen } = started(async () => {
    await new Promise(setImmediate);
    return 0;
  });
  await waitUntil("three purges", () => seen.begun >= 3);
  await purger.stop();
  assert.deepEqual([seen.open, seen.most], [0, 1]);
  assert.deepEqual(seen.logged, []);
});

test("what was purged is counted as it goes, and said in the end", async () => {
  const { purger, seen } = started(
    async ({ onProgress }) => {
      onProgress?.(500);
      onProgress?.(800);
      return 800;
    },
    { interval: 3_600_000 },
  );
  await waitUntil("the purge", () => seen.logged.length > 0);
  await purger.stop();
  assert.equal(seen.rows, 800);
  assert.deepEqual(seen.logged, [["purged", { authorizations: 800 }]]);
});

test("rows are deleted in batches smaller than cron's, which nobody waits for", async () => {
  let batchSize: number | undefined;
  const { purger } = started(async (options) => {
    batchSize = options.batchSize;
    return 0;
  });
  await waitUntil("the purge", () => batchSize !== undefined);
  await purger.stop();
  assert.equal(batchSize, 500);
});

test("a store that is away is logged, closed, and tried again at the next turn", async () => {
  let away = true;
  const { purger, seen } = started(async ({ onProgress }) => {
    if (away) throw new Error("connection refused");
    onProgress?.(1);
    return 1;
  });
  await waitUntil("two failures", () => seen.begun >= 2);
  away = false;
  await waitUntil("a purge", () => seen.rows > 0);
  await purger.stop();
  assert.deepEqual(seen.logged[0], ["purge-failed", { reason: "connection refused" }]);
  assert.deepEqual(seen.logged.at(-1), ["purged", { authorizations: 1 }]);
  assert.equal(seen.open, 0);
});

test("a store that sees to it by itself is not asked again, and nothing is said", async () => {
  const { purger, seen } = started(async () => {
    throw new UnsupportedError("DRAC has no purge");
  });
  await waitUntil("the store to be closed", () => seen.begun === 1 && seen.open === 0);
  await purger.stop();
  assert.deepEqual([seen.begun, seen.logged], [1, []]);
});

test("a store that cannot be opened is logged, and tried again", async () => {
  let tries = 0;
  const { purger, seen } = started(async () => 0, {
    open: async () => {
      tries += 1;
      throw new Error("no such driver");
    },
  });
  await waitUntil("two tries", () => tries >= 2);
  await purger.stop();
  assert.deepEqual(seen.logged[0], ["purge-failed", { reason: "no such driver" }]);
});

test("a store that cannot be closed is logged, and the next turn comes", async () => {
  const { purger, seen } = started(async () => 0, {
    open: async () => ({
      ...memoryStore(),
      close: () => Promise.reject(new Error("broken pipe")),
    }),
  });
  await waitUntil("two turns", () => seen.logged.length >= 2);
  await purger.stop();
  assert.deepEqual(seen.logged[1], ["purge-failed", { reason: "broken pipe" }]);
});

test("stop() ends the pause before the first purge, and then none begins", async () => {
  const { purger, seen } = started(async () => 0, { interval: 3_600_000, first: 3_600_000 });
  await purger.stop();
  await purger.stop();
  assert.equal(seen.begun, 0);
});

test("stop() waits for the batch in hand, and leaves the rest for later", async () => {
  const batch = Promise.withResolvers<void>();
  let finished = false;
  const { purger, seen } = started(async ({ onProgress }) => {
    for (let deleted = 500; deleted <= 1_000_000; deleted += 500) {
      await batch.promise;
      onProgress?.(deleted);
    }
    finished = true;
    return 1_000_000;
  });
  await waitUntil("a purge", () => seen.begun > 0);
  let stopped = false;
  const stop = purger.stop().then(() => (stopped = true));
  await new Promise(setImmediate);
  assert.equal(stopped, false);
  batch.resolve();
  await stop;
  assert.deepEqual([finished, seen.rows, seen.open], [false, 500, 0]);
  // to be told to end is no failure
  assert.deepEqual(seen.logged, [["purged", { authorizations: 500 }]]);
});

test("an interval of 0 means never", async () => {
  const { purger, seen } = started(async () => 0, { interval: 0 });
  await new Promise(setImmediate);
  await purger.stop();
  assert.equal(seen.begun, 0);
});

test("the first purge is left to chance, within a minute and within the interval", () => {
  assert.deepEqual(
    [0, 0.5, 1].map((chance) => firstWait(3_600_000, chance)),
    [0, 30_000, 60_000],
  );
  assert.equal(firstWait(10_000, 1), 10_000);
});
