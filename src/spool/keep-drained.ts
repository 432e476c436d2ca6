/** For a process that writes logins into the spool for as long as it runs, and sees to it that somebody drains it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import type { Store } from "../stores/store.ts";
import { drainLingering } from "./drain.ts";
import { GIVE_WAY, Spool } from "./spool.ts";

/** How often to look whether the drain that is at work has gone. Milliseconds. */
const LOOK_MS = 2_000;

export interface KeepDrainedOptions {
  readonly openStore: () => Promise<Store>;
  /** Ends it, after what waits has been written. */
  readonly signal: AbortSignal;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Takes a line about what went wrong. */
  readonly report: (line: string) => void;
}

/**
 * Drains the spool while nobody else does, until `signal`: gives way to a daemon, and comes back when that has gone.
 *
 * Never rejects: what cannot be drained stays in the spool.
 */
export async function keepDrained(config: Config, options: KeepDrainedOptions): Promise<void> {
  const { signal, report } = options;
  const spool = new Spool(config.spool);
  let way = new AbortController();
  // for good: a daemon may have read that a drain is here that has just left
  process.on(GIVE_WAY.watch, () => way.abort());
  while (!signal.aborted) {
    if (spool.drainAtWork() === undefined) {
      way = new AbortController();
      await drainUntil(way.signal, config, options).catch((error: unknown) =>
        report(error instanceof Error ? error.message : String(error)),
      );
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** @param way somebody else wants to drain from now on */
async function drainUntil(
  way: AbortSignal,
  config: Config,
  { openStore, signal, now, report }: KeepDrainedOptions,
): Promise<void> {
  let store = await openStore();
  const reopen = async () => {
    await store.close();
    store = await openStore();
    return store;
  };
  try {
    await drainLingering(config, store, reopen, AbortSignal.any([signal, way]), {
      kind: "watch",
      linger: Infinity,
      stay: true,
      isFollowed: () => way.aborted,
      now,
      report,
    });
  } finally {
    await store.close();
  }
}
