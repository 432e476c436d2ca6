/** For a process that writes logins into the spool for as long as it runs, and sees to it that somebody drains it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Config } from "../config/config.ts";
import { reasonOf } from "../lib/errors.ts";
import { GIVE_WAY, Spool } from "../spool/spool.ts";
import type { WriterGroup } from "../writers/group.ts";
import { drainUntil } from "./drain.ts";
import { mainChannel, startOwnDrains } from "./drains.ts";

/** How often to look whether the drain that is at work has gone. Milliseconds. */
const LOOK_MS = 2_000;

export interface KeepDrainedOptions {
  /** Ends it, after what waits has been written. */
  readonly signal: AbortSignal;
  readonly now: Clock;
  /** Takes a line about what went wrong. */
  readonly report: (line: string) => void;
}

/**
 * Drains the spool while nobody else does, until `signal`: gives way to a daemon, and comes back when that has gone.
 *
 * Never rejects: what cannot be drained stays in the spool.
 */
export async function keepDrained(
  config: Config,
  writers: WriterGroup,
  options: KeepDrainedOptions,
): Promise<void> {
  const { signal } = options;
  const spool = new Spool(config.spool);
  let way = new AbortController();
  // for good: a daemon may have read that a drain is here which has just left
  process.on(GIVE_WAY.watch, () => way.abort());
  while (!signal.aborted) {
    if (spool.drainAtWork() === undefined) {
      way = new AbortController();
      await drainUntilAnother(config, writers, way, options);
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** @param way aborted when somebody else is to drain from now on */
async function drainUntilAnother(
  config: Config,
  writers: WriterGroup,
  way: AbortController,
  { signal, now, report }: KeepDrainedOptions,
): Promise<void> {
  const options = {
    now,
    kind: "watch" as const,
    isFollowed: () => way.signal.aborted,
    report,
    onPolling: report,
    onFailure: (error: unknown) => report(reasonOf(error)),
  };
  const own = startOwnDrains(config, writers, options);
  const spool = new Spool(config.spool);
  const leave = AbortSignal.any([signal, way.signal]);
  await drainUntil(mainChannel(config, writers, report), leave, {
    ...options,
    before: () => {
      if (spool.drainAtWork() !== undefined) way.abort();
    },
  });
  await own.stop();
}
