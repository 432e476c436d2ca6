import type { Clock } from "../lib/clock.ts";
import { RowRefusedError, StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { keep, makeSpool } from "../spool/keep.ts";
import { Spool } from "../spool/spool.ts";
import type { Sink } from "../stores/store.ts";
import { Health, type OnHealth } from "./health.ts";

/** Where a statement's logins came from: clients that wait, or a spool. */
export type BatchSource = "live" | "spool";

/** Told of each statement: how many logins, how many seconds it took, and the error it met. */
export type OnStatement = (
  source: BatchSource,
  logins: number,
  seconds: number,
  error?: unknown,
) => void;

export interface WriterOptions {
  readonly open: () => Sink;
  /** Finds out how to open the store after an outage: what is wrong may be a password, and be corrected meanwhile. */
  readonly reopen: () => Promise<() => Sink>;
  /** The directory where logins wait for this store. */
  readonly spool: string;
  readonly now: Clock;
  readonly onStatement?: OnStatement;
  readonly onHealth?: OnHealth;
}

interface Queued {
  readonly login: Login;
  /** Called once the login's statement has ended, with the error it met. */
  readonly ended: (error?: unknown) => void;
  isAbandoned: boolean;
}

/** A login on its way into one store. */
export interface Submission {
  /** Nobody waits for it any longer: it is not written if its statement has not begun, and the store counts as away until that ends. */
  abandon(): void;
}

/**
 * The way into one store: its queue of live logins, its health, and its spool.
 *
 * All logins that come in while a statement is under way are committed by the next one: however many users log in, there is one
 * statement at a time, and no login waits for more than two. What a drain carries has a connection of its own, so that neither
 * queues behind the other.
 */
export class Writer {
  readonly health: Health;
  /** The directory where logins wait for this store. */
  readonly spool: string;
  readonly #options: WriterOptions;
  #live: Sink;
  #drained: Sink;
  #queue: Queued[] = [];
  #closing: Promise<unknown> = Promise.resolve();
  #underWay: Promise<void> | undefined;
  /** Ends the lateness of the statement under way. */
  #onTime: (() => void) | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#live = options.open();
    this.#drained = options.open();
    this.spool = options.spool;
    const { onHealth = () => undefined } = options;
    this.health = new Health(() => this.name, onHealth);
  }

  /** For people: the store's, and of several hosts the one in use. */
  get name(): string {
    return this.#live.name;
  }

  /** Queues a login for the next statement. `ended` is called once that has ended, unless the submission was abandoned. */
  submit(login: Login, ended: (error?: unknown) => void): Submission {
    const queued: Queued = { login, ended, isAbandoned: false };
    this.#queue.push(queued);
    this.#underWay ??= this.#writeQueue();
    return {
      abandon: () => {
        queued.isAbandoned = true;
        if (this.#underWay !== undefined) this.#onTime ??= this.health.late();
      },
    };
  }

  /**
   * Writes what a drain or a command carries.
   *
   * @throws what {@link Sink.authorize} does
   */
  authorize(batch: readonly Login[], now: number): Promise<void> {
    return this.#write("spool", this.#drained, batch, now);
  }

  /**
   * Puts logins that the store has not committed into its spool.
   *
   * @param why the store is away; undefined where it is there and another drain finds out what it refuses
   * @throws StoreAwayError where that cannot be done
   */
  keep(batch: readonly Login[], why: string | undefined): void {
    try {
      makeSpool(this.spool);
      // first: the drain, which takes it back, may be done with the batch before the next line is
      if (why !== undefined) new Spool(this.spool).setAway(why);
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

  /** Opens the store anew, as it is configured now: before a drain tries again. */
  async renew(): Promise<void> {
    const open = await this.#options.reopen();
    const [live, drained] = [this.#live, this.#drained];
    this.#live = open();
    this.#drained = open();
    // not waited for: a statement that hangs would hold up the next try
    this.#closing = Promise.all([this.#closing, live.close(), drained.close()]);
  }

  /** Resolves once no statement of live logins is under way. */
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
    // in the same step as the look at the queue: what comes later finds nobody at work
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
