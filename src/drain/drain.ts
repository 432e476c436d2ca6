/**
 * A drain: carries logins from a spool to where they belong, once or for as long as they come.
 *
 * At most one works on a spool at a time (lock.ts), the daemon rather than any other. It tells wrappers that it is there
 * (Spool.advertise), so that they wait for the commit instead of starting another. Before it leaves it takes that back first and
 * looks once more after that: a login written before is seen by that look, one written after starts the next drain, which waits
 * for the lock.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { StoreAwayError } from "../lib/errors.ts";
import { lockSpoolSoon, type SpoolLock } from "../spool/lock.ts";
import { Spool } from "../spool/spool.ts";
import type { Channel, DrainOptions, LingerOptions } from "./channel.ts";
import { DrainRun } from "./drain-run.ts";

/** How often to look into the spool although nothing was announced: inotify(7) may lose events. Milliseconds. */
const RESCAN_MS = 2_000;

/** The same where nothing can be announced; wrappers wait meanwhile. */
const POLL_MS = 100;

/** How long a drain that is told to leave goes on writing what waits. The rest is the next one's. Milliseconds. */
const LEAVE_MS = 1_000;

/** Between two tries while the store is away: doubles from the first to the last, less up to half by chance. Milliseconds. */
const BACKOFF_MS = { first: 100, last: 2_000 };

/** How long to wait before a drain is started again that has ended by itself. Milliseconds. */
const AGAIN_MS = 1_000;

export interface DrainUntilOptions extends DrainOptions {
  /** Called before each drain. Default: nothing is. */
  readonly before?: () => void;
  /** Told why a drain has ended. Default: nobody is. */
  readonly onFailure?: (error: unknown) => void;
}

/** What a drain did; undefined where another one is at work and does the same. */
export interface Drained {
  readonly drained: number;
}

/**
 * Writes what is in the spool, and returns.
 *
 * @throws StoreAwayError in an outage: what was not committed stays in the spool
 * @throws PopbsmtpError (77) where the spool is missing or may not be written to
 */
export async function drainOnce(
  channel: Channel,
  options: DrainOptions = {},
): Promise<Drained | undefined> {
  return atWork(channel, options, undefined, async (work) => {
    const run = new DrainRun(channel, work.lock, options);
    await run.scan();
    await run.drainAll();
    return leave(run);
  });
}

/**
 * Writes what is in the spool, and what comes in after that, until nothing has come for `linger` or `signal` says so. In an outage
 * it stays, trying again and again, while there is a login waiting that could still be of use.
 *
 * @throws StoreAwayError where the outage outlasted every login's use
 * @throws PopbsmtpError (77) where the spool is missing, may not be written to, or was moved away
 */
export async function drainLingering(
  channel: Channel,
  signal: AbortSignal,
  options: LingerOptions,
): Promise<Drained | undefined> {
  const { linger, stay = false, isAwaited = true, isFollowed = () => false } = options;
  return atWork(channel, options, signal, async ({ lock, advertise }) => {
    const run = new DrainRun(channel, lock, options);
    const { spool } = run;
    const watch = run.watch();
    let failures = 0;
    try {
      await run.scan();
      while (!signal.aborted && (failures > 0 || !(await run.isDone(linger)))) {
        try {
          await run.drainAll(signal);
          failures = 0;
          advertise();
          // without them wrappers look every 10 ms by themselves
          if (isAwaited) await spool.makeFifos().catch(() => undefined);
          await run.wait(linger, watch.isPolling ? POLL_MS : RESCAN_MS, signal);
          // what was announced together goes together: each is told apart, and a store may commit before the next one is
          await nextTurn();
        } catch (error) {
          if (!(error instanceof StoreAwayError)) throw error;
          if (!stay && (await run.isUseless())) throw error;
          spool.setAway(error.message);
          await pause(failures++, signal);
          if (signal.aborted) break;
          await channel.to.renew();
          await run.scan();
        }
      }
    } finally {
      watch[Symbol.dispose]();
    }
    if (!signal.aborted) return leave(run);
    // a store that was away a moment ago is not waited for again
    if (failures > 0 || isFollowed()) return { drained: run.drained };
    return leave(run, AbortSignal.timeout(LEAVE_MS));
  });
}

/** Drains a spool until `signal`, whatever happens: an error ends one drain, and the next follows. Never rejects. */
export async function drainUntil(
  channel: Channel,
  signal: AbortSignal,
  { before, onFailure, ...options }: DrainUntilOptions,
): Promise<void> {
  while (!signal.aborted) {
    try {
      before?.();
      await drainLingering(channel, signal, { ...options, linger: Infinity, stay: true });
    } catch (error) {
      onFailure?.(error);
    }
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** A spool that this process has locked. */
interface LockedSpool {
  readonly lock: SpoolLock;
  /** {@link Spool.advertise} */
  readonly advertise: () => void;
}

async function atWork(
  channel: Channel,
  { kind = "drain" }: DrainOptions,
  signal: AbortSignal | undefined,
  work: (work: LockedSpool) => Promise<Drained>,
): Promise<Drained | undefined> {
  const spool = new Spool(channel.spool);
  // a daemon has asked a drain to leave, and waits until it has: else the next login would start another
  const stays = kind === "serve" ? "serve" : undefined;
  const isLeaving = () => spool.drainAtWork(stays) === undefined;
  const lock = await lockSpoolSoon(spool.path, isLeaving, signal);
  if (lock === undefined) return undefined;
  const advertise = () => spool.advertise(lock.descriptor, kind);
  try {
    advertise();
    // one that was killed may have left it
    spool.setNotice(undefined);
    await spool.clearStarts();
    await channel.prepare?.();
    return await work({ lock, advertise });
  } finally {
    spool.withdraw();
    lock.release();
  }
}

/** @param signal when to go without what still waits */
async function leave(run: DrainRun, signal?: AbortSignal): Promise<Drained> {
  run.spool.withdraw();
  await run.scan();
  await run.drainAll(signal);
  return { drained: run.drained };
}

async function pause(failures: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.last);
  await sleep(longest * (1 - Math.random() / 2), undefined, { signal }).catch(() => undefined);
}
