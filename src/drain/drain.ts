/**
 * The drain: carries logins from the spool into the store, once or for as long as they come.
 *
 * At most one works on a spool at a time (lock.ts), the daemon rather than any other. It tells wrappers that it is there
 * (Spool.advertise), so that they wait for the commit instead of starting another. Before it leaves it takes that back first and
 * looks once more after that: a login written before is seen by that look, one written after starts the next drain, which waits
 * for the lock.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, PopbsmtpError, StoreAwayError } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { Store } from "../stores/store.ts";
import { drainBatch, isAhead, type BatchContext, type OnCommit } from "./drain-batch.ts";
import { Backlog } from "../spool/backlog.ts";
import { DirectoryWatch } from "../system/directory-watch.ts";
import { parseEntryName, type EntryName } from "../spool/entry.ts";
import { reclaim } from "../writers/legs.ts";
import { lockSpoolSoon, type SpoolLock } from "../spool/lock.ts";
import { Spool, type DrainKind } from "../spool/spool.ts";
import { inTurns } from "../lib/turns.ts";

/** Logins a transaction. */
const BATCH = 500;

/** How often to look into the spool although nothing was announced: inotify(7) may lose events. Milliseconds. */
const RESCAN_MS = 2_000;

/** The same where nothing can be announced; wrappers wait meanwhile. */
const POLL_MS = 100;

/** How long a drain that is told to leave goes on writing what waits. The rest is the next one's. Milliseconds. */
const LEAVE_MS = 1_000;

/** Between two tries while the store is away: doubles from the first to the last, less up to half by chance. Milliseconds. */
const BACKOFF_MS = { first: 100, last: 5_000 };

export interface DrainOptions {
  readonly now?: Clock;
  /** Takes a line about a file that had to be set aside. Default: nobody hears it. */
  readonly report?: (line: string) => void;
  /** Told, once in this process, that the kernel announces no logins, and what to do about it. Default: nobody hears it. */
  readonly onPolling?: (reason: string) => void;
  /** How long to stay after the last login, in milliseconds. Default: the configuration's. */
  readonly linger?: number;
  /**
   * Asked when it would leave, the last login being so long ago: is there a reason to stay? Default: there is none.
   */
  readonly isNeeded?: () => Promise<boolean>;
  /** Whether wrappers wait for what it drains. Default true. */
  readonly isAwaited?: boolean;
  /** Stay in an outage even where no login that waits is of use any more. Default false. */
  readonly stay?: boolean;
  /**
   * Asked when `signal` has come: will another drain of this process follow at once? Then what waits is left to that one. Default: none
   * will, and what waits is written first.
   */
  readonly isFollowed?: () => boolean;
  /** What wrappers and other drains are told this process is. Default "drain". */
  readonly kind?: DrainKind;
  /** Told after each statement which logins it was about, how many seconds it took, and the error it met. */
  readonly onCommit?: OnCommit;
  /** Told of each login that was set aside: it will never be in the store. */
  readonly onRefused?: (login: Login) => void;
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly drained: number; readonly waiting: number }) => void;
}

/** What a drain did; undefined where another one is at work and does the same. */
export interface Drained {
  readonly drained: number;
}

/**
 * Writes what is in the spool to the store, and returns.
 *
 * @throws StoreAwayError in an outage: what was not committed stays in the spool
 * @throws PopbsmtpError (77) where the spool is missing or may not be written to
 */
export async function drainOnce(
  config: Config,
  store: Store,
  options: DrainOptions = {},
): Promise<Drained | undefined> {
  return atWork(config, options, undefined, async (work) => {
    const run = new Run(work, store, config, options);
    await run.scan();
    await run.drainAll();
    return leave(run);
  });
}

/**
 * Writes what is in the spool to the store, and what comes in after that, until nothing has come for `config.linger` or `signal`
 * says so. In an outage it stays, trying again and again, while there is a login waiting that could still be of use.
 *
 * @param reopen called before each new try, so that it is made with the configuration as it is then
 * @throws StoreAwayError where the outage outlasted every login's use
 * @throws PopbsmtpError (77) where the spool is missing, may not be written to, or was moved away
 */
export async function drainLingering(
  config: Config,
  store: Store,
  reopen: () => Promise<Store>,
  signal: AbortSignal,
  options: DrainOptions = {},
): Promise<Drained | undefined> {
  const {
    linger = config.linger,
    stay = false,
    isAwaited = true,
    isFollowed = () => false,
  } = options;
  return atWork(config, options, signal, async (work) => {
    const { spool } = work;
    const run = new Run(work, store, config, options);
    const watch = run.watch();
    let failures = 0;
    try {
      await run.scan();
      while (!signal.aborted && (failures > 0 || !(await run.isDone(linger)))) {
        try {
          await run.drainAll(signal);
          failures = 0;
          work.advertise();
          // without them wrappers look every 10 ms by themselves
          if (isAwaited) await spool.makeFifos().catch(() => undefined);
          await run.wait(linger, watch.isPolling ? POLL_MS : RESCAN_MS, signal);
          // what was announced together goes together: each is told apart, and a store may commit before the next one is
          await nextTurn();
        } catch (error) {
          if (!(error instanceof StoreAwayError)) throw error;
          if (!stay && (await run.isUseless(config.lifetime))) throw error;
          spool.setAway(error.message);
          await pause(failures++, signal);
          if (signal.aborted) break;
          run.store = await reopen();
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

/** A spool that this process has locked. */
interface Work {
  readonly spool: Spool;
  readonly lock: SpoolLock;
  /** {@link Spool.advertise} */
  readonly advertise: () => void;
}

async function atWork(
  config: Config,
  { kind = "drain", report = () => undefined }: DrainOptions,
  signal: AbortSignal | undefined,
  work: (work: Work) => Promise<Drained>,
): Promise<Drained | undefined> {
  const spool = new Spool(config.spool);
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
    await reclaim(config, report);
    return await work({ spool, lock, advertise });
  } finally {
    spool.withdraw();
    lock.release();
  }
}

/** @param signal when to go without what still waits */
async function leave(run: Run, signal?: AbortSignal): Promise<Drained> {
  run.spool.withdraw();
  await run.scan();
  await run.drainAll(signal);
  return { drained: run.drained };
}

async function pause(failures: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(BACKOFF_MS.first * 2 ** failures, BACKOFF_MS.last);
  await sleep(longest * (1 - Math.random() / 2), undefined, { signal }).catch(() => undefined);
}

/** What is still to be drained, and how. */
class Run {
  readonly spool: Spool;
  store: Store;
  drained = 0;
  readonly #context: Omit<BatchContext, "store">;
  readonly #onProgress: DrainOptions["onProgress"];
  readonly #onPolling: NonNullable<DrainOptions["onPolling"]>;
  readonly #isNeeded: () => Promise<boolean>;
  readonly #lock: SpoolLock;
  /** Found in the spool, and still to be done. */
  #found = new Backlog();
  /** Announced since: these go first, so that nobody who waits now queues behind a backlog. */
  readonly #announced = new Map<string, EntryName>();
  #awaken: () => void = () => undefined;
  #lastLogin: number;

  constructor({ spool, lock }: Work, store: Store, config: Config, options: DrainOptions) {
    const {
      now = Date.now,
      report = () => undefined,
      onCommit = () => undefined,
      onRefused = () => undefined,
    } = options;
    this.spool = spool;
    this.#lock = lock;
    this.store = store;
    this.#context = { spool, exclude: config.exclude, now, report, onCommit, onRefused };
    this.#onProgress = options.onProgress;
    this.#onPolling = options.onPolling ?? (() => undefined);
    this.#isNeeded = options.isNeeded ?? (() => Promise.resolve(false));
    this.#lastLogin = now();
  }

  /**
   * Finds what is in the spool; what is no login's is set aside.
   *
   * @throws PopbsmtpError (77) where the spool cannot be read, or is another one by now, whose lock is for the next drain to take
   */
  async scan(): Promise<void> {
    const { backlog, foreign } = await this.spool.survey();
    if (!this.#lock.isInPlace()) {
      throw new PopbsmtpError(`spool: ${this.spool.path}: was moved or made anew`, EX.NOPERM);
    }
    const { newest } = backlog;
    const now = this.#context.now();
    this.#found =
      newest !== undefined && isAhead(newest, now)
        ? await this.#refuseAhead(backlog, now)
        : backlog;
    for await (const name of inTurns(foreign)) {
      this.#context.report(this.spool.setAside(name, "not a login's file"));
    }
  }

  /** Sets aside what is ahead of this host's clock, before time catches up with it: the store may be away for long. Returns the rest. */
  async #refuseAhead(backlog: Backlog, now: number): Promise<Backlog> {
    const rest = new Backlog();
    const ahead: EntryName[] = [];
    while (backlog.length > 0) {
      for (const entry of backlog.take(BATCH)) {
        if (isAhead(entry, now)) ahead.push(entry);
        else rest.add(entry.name);
      }
      await nextTurn();
    }
    await drainBatch({ ...this.#context, store: this.store }, ahead);
    return rest;
  }

  /** Listens for what comes in, until it is disposed of. */
  watch(): DirectoryWatch {
    return new DirectoryWatch(this.spool.path, {
      onChange: (name) => {
        // where the directory itself is gone, the next scan says so
        const entry = name === null ? undefined : parseEntryName(name);
        if (entry === undefined || this.spool.hasRemoved(entry.name)) return;
        this.#announced.set(entry.name, entry);
        this.#awaken();
      },
      onPolling: this.#onPolling,
    });
  }

  /** Commits all that was found and announced; goes no further than the next batch once `signal` has come. */
  async drainAll(signal?: AbortSignal): Promise<void> {
    while (this.#found.length > 0 || this.#announced.size > 0) {
      if (signal?.aborted === true) return;
      const drained = await drainBatch({ ...this.#context, store: this.store }, this.#take());
      this.drained += drained;
      if (drained > 0) this.#lastLogin = this.#context.now();
      this.#onProgress?.({ drained: this.drained, waiting: this.#found.length });
      await nextTurn();
    }
    this.spool.setAway(undefined);
  }

  /** The next batch. By name: what was announced may have been found, too, and is one login all the same. */
  #take(): readonly EntryName[] {
    const entries = new Map<string, EntryName>();
    for (const entry of this.#announced.values()) {
      if (entries.size === BATCH) break;
      entries.set(entry.name, entry);
      this.#announced.delete(entry.name);
    }
    for (const entry of this.#found.take(BATCH - entries.size)) entries.set(entry.name, entry);
    return [...entries.values()];
  }

  /** Resolves when something was announced, or `linger` after the last login; now and then looks for itself. */
  async wait(linger: number, rescan: number, signal: AbortSignal): Promise<void> {
    const isToStay = linger > this.#idleFor() || (await this.#isNeeded());
    if (this.#announced.size > 0 || signal.aborted) return;
    const left = linger - this.#idleFor();
    const rest = left > 0 ? Math.min(rescan, left) : isToStay ? rescan : 0;
    const { promise, resolve } = Promise.withResolvers<"due" | undefined>();
    const timer = setTimeout(resolve, rest, "due");
    this.#awaken = () => resolve(undefined);
    signal.addEventListener("abort", this.#awaken, { once: true });
    const woken = await promise;
    signal.removeEventListener("abort", this.#awaken);
    clearTimeout(timer);
    if (woken === "due") await this.scan();
  }

  /** Whether the last login was so long ago, and nothing else is to be waited for. */
  async isDone(linger: number): Promise<boolean> {
    return this.#idleFor() >= linger && !(await this.#isNeeded());
  }

  /** Milliseconds since the last login. */
  #idleFor(): number {
    return this.#context.now() - this.#lastLogin;
  }

  /** Whether every login that waits is past the lifetime: to keep trying would authorize nobody. */
  async isUseless(lifetime: number): Promise<boolean> {
    const { newest } = (await this.spool.survey()).backlog;
    return newest === undefined || this.#context.now() - newest.time > lifetime;
  }
}
