/** The drains of several stores' spools: one for each, so that none waits for another. */
import type { Clock } from "../lib/clock.ts";
import { existsSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { answersOf, together } from "../writers/several-answers.ts";
import type { Store } from "../stores/store.ts";
import { drainOnce, type Drained, type DrainOptions } from "./drain.ts";
import { drainUntil, type DrainUntilOptions } from "./drain-until.ts";
import { makeSpool } from "../spool/keep.ts";
import { legsOf } from "../writers/legs.ts";
import { Spool } from "../spool/spool.ts";

/** Drains at work. */
export interface LegDrains {
  /** Whether a login waits for a store that is away, and would still be of use there. */
  readonly isNeeded: () => Promise<boolean>;
  /** Writes what can be written, and resolves when all have ended. */
  stop(): Promise<void>;
}

/**
 * Starts one for each of several stores.
 *
 * @param optionsOf what each is to do
 */
export function startLegDrains(
  config: Config,
  optionsOf: (leg: Config) => Omit<DrainUntilOptions, "isAwaited" | "prepare">,
  now: Clock = Date.now,
): LegDrains {
  const leave = new AbortController();
  const legs = legsOf(config);
  const drains = legs.map((leg) =>
    drainUntil(leg, leave.signal, {
      ...optionsOf(leg),
      now,
      isAwaited: false,
      prepare: () => makeSpool(leg.spool),
    }),
  );
  return {
    isNeeded: async () => {
      for (const leg of legs) if (await isOfUse(leg, now())) return true;
      return false;
    },
    stop: async () => {
      leave.abort();
      await Promise.all(drains);
    },
  };
}

/** What {@link drainAllOnce} did. */
export interface AllDrained extends Drained {
  /** The spools at which another drain is at work and does the same. */
  readonly elsewhere: readonly string[];
}

/**
 * Drains the spool once, and then those of several stores.
 *
 * @throws what {@link drainOnce} does, for all of them, after each has been drained that could be
 */
export async function drainAllOnce(
  config: Config,
  open: (config: Config) => Promise<Store>,
  options: DrainOptions,
): Promise<AllDrained> {
  const elsewhere: string[] = [];
  const once = async (part: Config, more: DrainOptions) => {
    const store = await open(part);
    try {
      const done = await drainOnce(part, store, more);
      if (done === undefined) elsewhere.push(part.spool);
      return done?.drained ?? 0;
    } finally {
      await store.close();
    }
  };
  const spool = await answersOf([once(config, options)]);
  const waiting = legsOf(config).filter((leg) => existsSync(leg.spool));
  const legs = await answersOf(
    waiting.map((leg) => once(leg, { ...options, onProgress: () => undefined })),
  );
  const errors = [...spool.errors, ...legs.errors];
  if (errors.length > 0) throw together(errors);
  return { drained: spool.answers[0] ?? 0, elsewhere };
}

async function isOfUse(leg: Config, now: number): Promise<boolean> {
  const { newest } = (await new Spool(leg.spool).survey()).backlog;
  return newest !== undefined && now - newest.time <= leg.lifetime;
}
