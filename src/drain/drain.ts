/**
 * A drain: writes the logins in a spool to the stores, once or continuously.
 *
 * At most one drain works on a spool at a time (lock.ts), and the daemon's takes precedence. It
 * advertises itself to wrappers (DrainNotices.advertise), so that they wait for the commit instead
 * of starting another drain. Before leaving, it first withdraws the advertisement and then scans
 * once more: a login written earlier is found by that scan, and a later one starts the next drain,
 * which waits for the lock.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { StoreAwayError } from "../lib/errors.ts";
import { lockSpoolSoon, type SpoolLock } from "../spool/lock.ts";
import { Spool } from "../spool/spool.ts";
import type { Channel, DrainOptions, LingerOptions } from "./channel.ts";
import { DrainRun } from "./drain-run.ts";

/** How often to rescan the spool, because inotify(7) may lose events. Milliseconds. */
const RESCAN_MS = 2_000;

/** The same without inotify, while wrappers wait. */
const POLL_MS = 100;

/**
 * How long a drain that is told to leave goes on writing. It leaves the rest to the next one.
 * Milliseconds.
 */
const LEAVE_MS = 1_000;

/**
 * Pauses between attempts during an outage: doubling from the first to the last, less a random part
 * of up to half. Milliseconds.
 */
const BACKOFF_MS = { first: 100, last: 2_000 };

/** How long to wait before restarting a drain that has failed. Milliseconds. */
const AGAIN_MS = 1_000;

export interface DrainUntilOptions extends DrainOptions {
  /** Called before each drain. */
  readonly before?: () => void;
  /** Called with the reason why a drain has ended. Default: discarded. */
  readonly onFailure?: (error: unknown) => void;
}

/** The result of a drain; undefined if another drain is at work and does the same. */
export interface Drained {
  readonly drained: number;
}

/**
 * Drains the spool once.
 *
 * @throws StoreAwayError in an outage; uncommitted logins stay in the spool
 * @throws PopbsmtpError (77) if the spool is missing or not writable
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
 * Drains the spool, and the logins that arrive later, until none has arrived for `linger` or
 * `signal` is aborted. In an outage it keeps retrying while any waiting login is worth writing.
 *
 * @throws StoreAwayError if no waiting login was worth writing before the outage ended
 * @throws PopbsmtpError (77) if the spool is missing, not writable, or was moved away
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
          // without FIFOs wrappers poll every 10 ms
          if (isAwaited) await spool.drain.makeFifos().catch(() => undefined);
          await run.wait(linger, watch.isPolling ? POLL_MS : RESCAN_MS, signal);
          // logins announced together are written together: they are announced one by one, and a
          // store may commit before the next one
          await nextTurn();
        } catch (error) {
          if (!(error instanceof StoreAwayError)) throw error;
          if (!stay && (await run.isUseless())) throw error;
          spool.drain.setAway(error.message);
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
    // wrappers do not wait again for a store that was away a moment ago
    if (failures > 0 || isFollowed()) return { drained: run.drained };
    return leave(run, AbortSignal.timeout(LEAVE_MS));
  });
}

/**
 * Drains a spool until `signal` is aborted: an error ends one drain, and another is started. Never
 * rejects.
 */
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
  /** {@link DrainNotices.advertise} */
  readonly advertise: () => void;
}

async function atWork(
  channel: Channel,
  { kind = "drain" }: DrainOptions,
  signal: AbortSignal | undefined,
  work: (work: LockedSpool) => Promise<Drained>,
): Promise<Drained | undefined> {
  const spool = new Spool(channel.spool);
  // a daemon has asked a drain to leave and waits for that; otherwise the next login would start
  // another
  const stays = kind === "serve" ? "serve" : undefined;
  const isLeaving = () => spool.drain.atWork(stays) === undefined;
  const lock = await lockSpoolSoon(spool.path, isLeaving, signal);
  if (lock === undefined) return undefined;
  const advertise = () => spool.drain.advertise(lock.descriptor, kind);
  try {
    advertise();
    // a killed drain may have left it
    spool.drain.setNotice(undefined);
    await spool.drain.clearStarts();
    await channel.prepare?.();
    return await work({ lock, advertise });
  } finally {
    spool.drain.withdraw();
    lock.release();
  }
}

/** @param signal aborts the wait */
async function leave(run: DrainRun, signal?: AbortSignal): Promise<Drained> {
  run.spool.drain.withdraw();
  await run.scan();
  await run.drainAll(signal);
  return { drained: run.drained };
}

async function pause(failures: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.last);
  await sleep(longest * (1 - Math.random() / 2), undefined, { signal }).catch(() => undefined);
}
