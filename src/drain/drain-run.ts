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

/** Logins per transaction. */
const BATCH = 500;

/** The state of a drain at work. */
export class DrainRun {
  readonly spool: Spool;
  drained = 0;
  readonly #context: BatchContext;
  readonly #lifetime: number;
  readonly #onProgress: DrainOptions["onProgress"];
  readonly #onPolling: NonNullable<DrainOptions["onPolling"]>;
  readonly #isNeeded: () => Promise<boolean>;
  readonly #lock: SpoolLock;
  /** Found in the spool and not yet drained. */
  #found = new Backlog();
  /**
   * Announced since. These go first, so that clients that wait now do not queue behind a backlog.
   */
  readonly #announced = new Map<string, EntryName>();
  #awaken: () => void = () => undefined;
  #lastLogin: number;

  constructor(
    { spool, to, admission, lifetime }: Channel,
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
    this.#context = { spool: this.spool, to, admission, now, report, onCommitted, onRefused };
    this.#onProgress = options.onProgress;
    this.#onPolling = options.onPolling ?? (() => undefined);
    this.#isNeeded = options.isNeeded ?? (() => Promise.resolve(false));
    this.#lastLogin = now();
  }

  /**
   * Lists the spool, and sets aside files that are not logins.
   *
   * @throws PopbsmtpError (77) if the spool cannot be read, or has been replaced, so that its lock
   *   is another drain's to take
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

  /**
   * Sets aside logins that are ahead of this host's clock now, because during a long outage the
   * clock would catch up with them. Returns the rest.
   */
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

  /** Watches for new logins until disposed of. */
  watch(): DirectoryWatch {
    return new DirectoryWatch(this.spool.path, {
      onChange: (name) => {
        // if the directory itself is gone, the next scan reports it
        const entry = name === null ? undefined : parseEntryName(name);
        if (entry === undefined || this.spool.hasRemoved(entry.name)) return;
        this.#announced.set(entry.name, entry);
        this.#awaken();
      },
      onPolling: this.#onPolling,
    });
  }

  /** Commits everything found and announced; once `signal` is aborted, at most one more batch. */
  async drainAll(signal?: AbortSignal): Promise<void> {
    while (this.#found.length > 0 || this.#announced.size > 0) {
      if (signal?.aborted === true) return;
      const drained = await drainBatch(this.#context, this.#take());
      this.drained += drained;
      if (drained > 0) this.#lastLogin = this.#context.now();
      this.#onProgress?.({ drained: this.drained, waiting: this.#found.length });
      await nextTurn();
    }
    this.spool.drain.setAway(undefined);
  }

  /** The next batch. Keyed by name, because an announced login may also have been found. */
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

  /**
   * Resolves when a login is announced, or `linger` after the last one. Rescans the spool from time
   * to time.
   */
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

  /** Whether the last login was that long ago and there is no other reason to stay. */
  async isDone(linger: number): Promise<boolean> {
    return this.#idleFor() >= linger && !(await this.#isNeeded());
  }

  /** Milliseconds since the last login. */
  #idleFor(): number {
    return this.#context.now() - this.#lastLogin;
  }

  /**
   * Whether every waiting login is older than the lifetime, so that writing it would authorize no
   * address.
   */
  async isUseless(): Promise<boolean> {
    const { newest } = (await this.spool.survey()).backlog;
    return newest === undefined || this.#context.now() - newest.time > this.#lifetime;
  }
}
