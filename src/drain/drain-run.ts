import { setImmediate as nextTurn } from "node:timers/promises";
import { EX, PopbsmtpError } from "../lib/errors.ts";
import { inTurns } from "../lib/turns.ts";
import { Backlog } from "../spool/backlog.ts";
import { parseEntryName, type EntryName } from "../spool/entry.ts";
import type { SpoolLock } from "../spool/lock.ts";
import { Spool } from "../spool/spool.ts";
import { DirectoryWatch } from "../system/directory-watch.ts";
import type { Channel, DrainOptions, LingerOptions } from "./channel.ts";
import { drainBatch, isAhead, type BatchContext } from "./drain-batch.ts";

/** Logins a transaction. */
const BATCH = 500;

/** What is still to be drained, and how. */
export class DrainRun {
  readonly spool: Spool;
  drained = 0;
  readonly #context: BatchContext;
  readonly #lifetime: number;
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

  constructor(
    { spool, to, exclude, lifetime }: Channel,
    lock: SpoolLock,
    options: DrainOptions & Pick<LingerOptions, "isNeeded">,
  ) {
    const {
      now = Date.now,
      report = () => undefined,
      onCommitted = () => undefined,
      onRefused = () => undefined,
    } = options;
    this.spool = new Spool(spool);
    this.#lock = lock;
    this.#lifetime = lifetime;
    this.#context = { spool: this.spool, to, exclude, now, report, onCommitted, onRefused };
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
      throw new PopbsmtpError(`spool: ${this.spool.path}: was moved or recreated`, EX.NOPERM);
    }
    const { newest } = backlog;
    const now = this.#context.now();
    this.#found =
      newest !== undefined && isAhead(newest, now)
        ? await this.#refuseAhead(backlog, now)
        : backlog;
    for await (const name of inTurns(foreign)) {
      this.#context.report(this.spool.setAside(name, "not a login file"));
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
    await drainBatch(this.#context, ahead);
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
      const drained = await drainBatch(this.#context, this.#take());
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
  async isUseless(): Promise<boolean> {
    const { newest } = (await this.spool.survey()).backlog;
    return newest === undefined || this.#context.now() - newest.time > this.#lifetime;
  }
}
