/**
 * All drains of a configuration: that of the main spool, which writes to every store, and those of
 * the stores' own spools.
 */
import { existsSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { makeSpool } from "../spool/keep.ts";
import { Spool } from "../spool/spool.ts";
import { answersOf, together } from "../writers/answers.ts";
import type { WriterGroup } from "../writers/group.ts";
import { reclaim } from "../writers/store-spools.ts";
import type { Channel, DrainOptions } from "./channel.ts";
import { drainOnce, drainUntil, type Drained, type DrainUntilOptions } from "./drain.ts";

/** The main spool, whose logins go to every store. */
export function mainChannel(
  config: Config,
  writers: WriterGroup,
  report: (line: string) => void,
): Channel {
  const { spool, lifetime } = config;
  return {
    spool,
    to: writers,
    admission: config,
    lifetime,
    prepare: () => reclaim(config, report),
  };
}

/**
 * The stores' own spools, each drained into its store. None if a single store uses the main spool.
 */
function ownChannels(config: Config, { writers }: WriterGroup): Channel[] {
  const { lifetime } = config;
  return writers
    .filter(({ spool }) => spool !== config.spool)
    .map((writer) => ({ spool: writer.spool, to: writer, admission: config, lifetime }));
}

/** The running drains of the stores' own spools. */
export interface OwnDrains {
  /** Whether a login that is still worth writing waits for a store that is away. */
  readonly isNeeded: () => Promise<boolean>;
  /** Writes what can be written. Resolves when all drains have ended. */
  stop(): Promise<void>;
}

/**
 * Starts a drain for each store that has a spool of its own, so that no store waits for another.
 */
export function startOwnDrains(
  config: Config,
  writers: WriterGroup,
  options: Omit<DrainUntilOptions, "isAwaited" | "before">,
): OwnDrains {
  const { now = Date.now } = options;
  const leave = new AbortController();
  const channels = ownChannels(config, writers);
  const drains = channels.map((channel) =>
    drainUntil(channel, leave.signal, {
      ...options,
      isAwaited: false,
      before: () => makeSpool(channel.spool),
    }),
  );
  return {
    isNeeded: async () => {
      for (const channel of channels) if (await isOfUse(channel, now())) return true;
      return false;
    },
    stop: async () => {
      leave.abort();
      await Promise.all(drains);
    },
  };
}

/** The result of {@link drainAllOnce}. */
export interface AllDrained extends Drained {
  /** The spools on which another drain is at work. */
  readonly elsewhere: readonly string[];
}

/**
 * Drains the main spool once, and then the stores' own spools.
 *
 * @throws the errors of {@link drainOnce}, combined, after every spool has been tried
 */
export async function drainAllOnce(
  config: Config,
  writers: WriterGroup,
  options: DrainOptions & { readonly report: (line: string) => void },
): Promise<AllDrained> {
  const elsewhere: string[] = [];
  const once = async (channel: Channel, more: DrainOptions) => {
    const done = await drainOnce(channel, more);
    if (done === undefined) elsewhere.push(channel.spool);
    return done?.drained ?? 0;
  };
  const main = await answersOf([once(mainChannel(config, writers, options.report), options)]);
  const waiting = ownChannels(config, writers).filter(({ spool }) => existsSync(spool));
  const own = await answersOf(
    waiting.map((channel) => once(channel, { ...options, onProgress: () => undefined })),
  );
  const errors = [...main.errors, ...own.errors];
  if (errors.length > 0) throw together(errors);
  return { drained: main.answers[0] ?? 0, elsewhere };
}

async function isOfUse({ spool, lifetime }: Channel, now: number): Promise<boolean> {
  const { newest } = (await new Spool(spool).survey()).backlog;
  return newest !== undefined && now - newest.time <= lifetime;
}
