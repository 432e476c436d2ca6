import { setTimeout as sleep } from "node:timers/promises";
import { UnsupportedError, reasonOf } from "../lib/errors.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

/**
 * The first purge starts within this long after the start, at random, so that hosts started
 * together do not purge together. Milliseconds.
 */
const FIRST_MS = 60_000;

/**
 * Rows per transaction: fewer than for `popbsmtp purge`, because logins of this process may wait
 * for it.
 */
const BATCH = 500;

export interface PurgerOptions {
  /** From the end of one purge to the next. Milliseconds; 0: never. */
  readonly interval: number;
  /** Opens the store with the purger's account. It is closed after each purge. */
  readonly open: () => Promise<Pick<StoreGroup, "purge" | "close">>;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "purged">;
  /** How long to wait before the first purge, in milliseconds. Default: {@link firstWait}. */
  readonly first?: number;
}

export interface Purger {
  /** Starts no further purge. Resolves when the current one has ended, after its next batch. */
  stop(): Promise<void>;
}

/**
 * Deletes expired authorizations at intervals until stopped. Errors are logged, and the next purge
 * tries again.
 */
export function startPurger({
  interval,
  first = firstWait(interval, Math.random()),
  ...turn
}: PurgerOptions): Purger {
  const leave = new AbortController();
  const ended =
    interval === 0 ? Promise.resolve() : purgeUntil(leave.signal, first, interval, turn);
  return {
    stop: async () => {
      leave.abort();
      await ended;
    },
  };
}

/**
 * The time until the first purge, for `chance` between 0 and 1: at most a minute, and at most the
 * interval. Milliseconds.
 */
export function firstWait(interval: number, chance: number): number {
  return Math.min(FIRST_MS, interval) * chance;
}

type Turn = Pick<PurgerOptions, "open" | "log" | "metrics">;

async function purgeUntil(
  signal: AbortSignal,
  first: number,
  interval: number,
  turn: Turn,
): Promise<void> {
  for (let wait = first; ; wait = interval) {
    await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await purge(signal, turn);
    } catch (error) {
      // this store purges itself
      if (error instanceof UnsupportedError) return;
      if (!signal.aborted) turn.log.error("purge-failed", { reason: reasonOf(error) });
    }
  }
}

async function purge(signal: AbortSignal, { open, log, metrics }: Turn): Promise<void> {
  const store = await open();
  let purged = 0;
  try {
    await store.purge({
      batchSize: BATCH,
      onProgress: (deleted) => {
        metrics.purged(deleted - purged);
        purged = deleted;
        // the batch is committed: nothing is lost by stopping here
        signal.throwIfAborted();
      },
    });
  } finally {
    if (purged > 0) log.info("purged", { authorizations: purged });
    await store.close();
  }
}
