/** Keeps the spool drained while this process writes logins into it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Config } from "../config/config.ts";
import { reasonOf } from "../lib/errors.ts";
import { GIVE_WAY } from "../spool/drain-notices.ts";
import { Spool } from "../spool/spool.ts";
import type { WriterGroup } from "../writers/group.ts";
import { drainUntil } from "./drain.ts";
import { mainChannel, startOwnDrains } from "./drains.ts";

/** How often to check whether another drain has left. Milliseconds. */
const LOOK_MS = 2_000;

export interface KeepDrainedOptions {
  /** Writes the waiting logins, then ends. */
  readonly signal: AbortSignal;
  readonly now: Clock;
  /** Takes a line about an error. */
  readonly report: (line: string) => void;
}

/**
 * Drains the spool until `signal` is aborted, whenever no other drain does: gives way to a daemon,
 * and resumes when that has left.
 *
 * Never rejects: logins that cannot be drained stay in the spool.
 */
export async function keepDrained(
  config: Config,
  writers: WriterGroup,
  options: KeepDrainedOptions,
): Promise<void> {
  const { signal } = options;
  const spool = new Spool(config.spool);
  let way = new AbortController();
  // repeatedly: a daemon may ask a drain to leave that has just left
  process.on(GIVE_WAY.watch, () => way.abort());
  while (!signal.aborted) {
    if (spool.drain.atWork() === undefined) {
      way = new AbortController();
      await drainUntilAnother(config, writers, way, options);
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** @param way aborted when another process is to drain from now on */
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
      if (spool.drain.atWork() !== undefined) way.abort();
    },
  });
  await own.stop();
}
