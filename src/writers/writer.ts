import type { Clock } from "../lib/clock.ts";
import { RowRefusedError, StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { keep, makeSpool } from "../spool/keep.ts";
import { Spool } from "../spool/spool.ts";
import type { Sink } from "../stores/store.ts";
import { Health, type OnHealth } from "./health.ts";

/** The origin of a statement's logins: waiting clients, or a spool. */
export type BatchSource = "live" | "spool";

/**
 * Called after each statement with the number of logins, the duration in seconds, and the error, if
 * any.
 */
export type OnStatement = (
  source: BatchSource,
  logins: number,
  seconds: number,
  error?: unknown,
) => void;

export interface WriterOptions {
  readonly open: () => Sink;
  /**
   * Returns how to open the store after an outage: the cause may be a wrong password that has been
   * corrected in the meantime.
   */
  readonly reopen: () => Promise<() => Sink>;
  /** The directory in which logins wait for this store. */
  readonly spool: string;
  readonly now: Clock;
  readonly onStatement?: OnStatement;
  readonly onHealth?: OnHealth;
}

interface Queued {
  readonly login: Login;
  /** Called once the login's statement has ended, with its error, if any. */
  readonly ended: (error?: unknown) => void;
  isAbandoned: boolean;
}

/** A login that is being written to one store. */
export interface Submission {
  /**
   * The client has given up: the login is not written if its statement has not begun, and the store
   * counts as away until the running statement ends.
   */
  abandon(): void;
}

/**
 * Writes to one store: its queue of live logins, its health and its spool.
 *
 * All logins that arrive while a statement is running are committed by the next one. So however
 * many users log in, there is one statement at a time, and no login waits for more than two. Drains
 * have a connection of their own, so that neither kind waits for the other.
 */
export class Writer {
  readonly health: Health;
  /** The directory in which logins wait for this store. */
  readonly spool: string;
  readonly #options: WriterOptions;
  #live: Sink;
  #drained: Sink;
  #queue: Queued[] = [];
  #closing: Promise<unknown> = Promise.resolve();
  #underWay: Promise<void> | undefined;
  /** Ends the lateness of the running statement. */
  #onTime: (() => void) | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#live = options.open();
    this.#drained = options.open();
    this.spool = options.spool;
    const { onHealth = () => undefined } = options;
    this.health = new Health(() => this.name, onHealth);
  }

  /** The store's name for people; with several hosts, it names the one in use. */
  get name(): string {
    return this.#live.name;
  }

  /**
   * Queues a login for the next statement. `ended` is called when that statement has ended, unless
   * the submission was abandoned.
   */
  submit(login: Login, ended: (error?: unknown) => void): Submission {
    const queued: Queued = { login, ended, isAbandoned: false };
    this.#queue.push(queued);
    // logins that are submitted together share the first statement
    this.#underWay ??= Promise.resolve().then(() => this.#writeQueue());
    return {
      abandon: () => {
        queued.isAbandoned = true;
        if (this.#underWay !== undefined) this.#onTime ??= this.health.late();
      },
    };
  }

  /**
   * Writes the logins of a drain or a command.
   *
   * @throws the errors of {@link Sink.authorize}
   */
  authorize(batch: readonly Login[], now: number): Promise<void> {
    return this.#write("spool", this.#drained, batch, now);
  }

  /**
   * Puts logins that the store has not committed into its spool.
   *
   * @param why the store is away; undefined if it is up and a drain will find out which row it
   *   refuses
   * @throws StoreAwayError if the spool cannot be written to
   */
  keep(batch: readonly Login[], why: string | undefined): void {
    try {
      makeSpool(this.spool);
      // first, because the drain, which withdraws it, may finish the batch before the next line
      // runs
      if (why !== undefined) new Spool(this.spool).drain.setAway(why);
      keep(this.spool, batch);
    } catch (cause) {
      throw new StoreAwayError(
        `${why ?? this.name}; nor can logins be kept for it: ${reasonOf(cause)}`,
        {
          cause,
        },
      );
    }
  }

  /** Reopens the store with the current configuration, before a drain retries. */
  async renew(): Promise<void> {
    const open = await this.#options.reopen();
    const [live, drained] = [this.#live, this.#drained];
    this.#live = open();
    this.#drained = open();
    // not awaited: a hanging statement would delay the next attempt
    this.#closing = Promise.all([this.#closing, live.close(), drained.close()]);
  }

  /** Resolves once no statement for live logins is running. */
  async idle(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
  }

  async close(): Promise<void> {
    await Promise.all([this.#closing, this.#live.close(), this.#drained.close()]);
  }

  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.filter(({ isAbandoned }) => !isAbandoned);
      this.#queue = [];
      if (batch.length > 0) await this.#writeLive(batch);
    }
    // in the same tick as the check of the queue, so that a later login starts a new writer
    this.#underWay = undefined;
  }

  async #writeLive(batch: readonly Queued[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      const logins = batch.map(({ login }) => login);
      await this.#write("live", this.#live, logins, this.#options.now());
    } catch (error) {
      failure = { error };
    }
    this.#onTime?.();
    this.#onTime = undefined;
    for (const { isAbandoned, ended } of batch) if (!isAbandoned) ended(failure?.error);
  }

  async #write(
    source: BatchSource,
    sink: Sink,
    batch: readonly Login[],
    now: number,
  ): Promise<void> {
    const { onStatement = () => undefined } = this.#options;
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    try {
      await sink.authorize(batch, now);
      onStatement(source, batch.length, seconds());
      this.health.answered();
    } catch (error) {
      onStatement(source, batch.length, seconds(), error);
      if (error instanceof RowRefusedError) this.health.answered();
      else this.health.failed(reasonOf(error));
      throw error;
    }
  }
}
