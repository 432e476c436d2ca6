import { setTimeout as sleep } from "node:timers/promises";
import { RowRefusedError, errorOf, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { together } from "./answers.ts";
import type { Submission, Writer } from "./writer.ts";

/** How long a waiting login gives the other stores once one has committed it. Milliseconds. */
const PATIENCE_MS = 100;

/** A login that is being written to every store. */
export interface Recording {
  /**
   * Resolves once one store has committed the login and each of the others has committed it or put
   * it into its spool.
   *
   * Rejects if no store has committed it, with RowRefusedError if a store refused it. It is then in
   * no spool.
   */
  readonly done: Promise<void>;
  /**
   * Gives up waiting: `done` no longer settles.
   *
   * @returns whether a store has committed the login; the others then keep it in their spools. If
   *   not, the caller has to keep it
   */
  giveUp(): boolean;
}

/** The writers of all configured stores. Every login goes to each of them. */
export class WriterGroup {
  readonly writers: readonly [Writer, ...Writer[]];
  readonly #isAwaited: boolean;
  readonly #report: (line: string) => void;

  /**
   * @param isAwaited whether clients wait for the writes, so that a slow store counts as away
   * @param report takes a line about a login that one store could not take but another could
   */
  constructor(
    writers: readonly [Writer, ...Writer[]],
    { isAwaited, report }: { isAwaited: boolean; report: (line: string) => void },
  ) {
    this.writers = writers;
    this.#isAwaited = isAwaited;
    this.#report = report;
  }

  get name(): string {
    return this.writers.map(({ name }) => name).join(", ");
  }

  /** Why no store takes logins; undefined if one does. */
  get away(): string | undefined {
    const reasons = this.writers.flatMap(({ health }) => health.away ?? []);
    return reasons.length < this.writers.length ? undefined : [...new Set(reasons)].join("; ");
  }

  /** Passes a new login to the stores that are up, or to all of them if none is. */
  record(login: Login): Recording {
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    const present = this.writers.filter(({ health }) => health.away === undefined);
    const tried = present.length > 0 ? present : this.writers;
    const start = performance.now();
    const committed = new Set<Writer>();
    const errors = new Map<Writer, Error>();
    const submissions = new Map<Writer, Submission>();
    let patience: NodeJS.Timeout | undefined;
    let isSettled = false;

    const settle = (): boolean => {
      isSettled = true;
      clearTimeout(patience);
      for (const submission of submissions.values()) submission.abandon();
      if (committed.size === 0) return false;
      for (const writer of this.writers) {
        if (!committed.has(writer)) this.#keep(writer, [login], errors.get(writer));
      }
      return true;
    };
    const finish = () => {
      try {
        if (settle()) resolve();
        else reject(refusalOr(errors));
      } catch (error) {
        reject(error);
      }
    };
    const ended = (writer: Writer, error: unknown) => {
      if (isSettled) return;
      submissions.delete(writer);
      if (error === undefined) committed.add(writer);
      else errors.set(writer, errorOf(error));
      if (committed.size + errors.size === tried.length) finish();
      else if (committed.size > 0) {
        patience ??= setTimeout(finish, PATIENCE_MS - (performance.now() - start));
      }
    };
    for (const writer of tried) {
      submissions.set(
        writer,
        writer.submit(login, (error) => ended(writer, error)),
      );
    }
    const giveUp = () => {
      try {
        return isSettled ? committed.size > 0 : settle();
      } catch (error) {
        this.#report(reasonOf(error));
        return false;
      }
    };
    return { done, giveUp };
  }

  /**
   * Writes the logins of a drain or a command. Resolves once one store has committed all of them
   * and each of the others has committed them or put them into its spool.
   *
   * @throws StoreAwayError, RowRefusedError if no store has committed them; they are then in no
   *   spool
   */
  async authorize(batch: readonly Login[], now: number): Promise<void> {
    if (batch.length === 0) return;
    const attempts = new Map<Writer, WriterOutcome>();
    const isAway = (writer: Writer) => writer.health.away !== undefined;
    const isCommitted = (writer: Writer) => attempts.get(writer)?.isCommitted === true;
    const away = this.writers.filter(isAway);
    await this.#try(
      attempts,
      this.writers.filter((writer) => !isAway(writer)),
      batch,
      now,
    );
    // stores that were away are left to their own drains, unless no other store is left
    if (!this.writers.some(isCommitted)) await this.#try(attempts, away, batch, now);
    if (!this.writers.some(isCommitted)) refuse(batch, [...attempts.values()]);
    for (const writer of this.writers) {
      if (!isCommitted(writer)) this.#keep(writer, batch, attempts.get(writer)?.error);
    }
  }

  /** Reopens the stores that are away. */
  async renew(): Promise<void> {
    const away = this.writers.filter(({ health }) => health.away !== undefined);
    await Promise.all(away.map((writer) => writer.renew()));
  }

  /** Resolves once no statement for live logins is running. */
  async idle(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.idle()));
  }

  async close(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.close()));
  }

  /**
   * Adds to `attempts`. Returns when all writers have finished or, if a client waits, when one has
   * committed and the others are slow.
   */
  async #try(
    attempts: Map<Writer, WriterOutcome>,
    writers: readonly Writer[],
    batch: readonly Login[],
    now: number,
  ): Promise<void> {
    const committing = writers.map(async (writer) => {
      const attempt: WriterOutcome = { isCommitted: false, error: undefined };
      attempts.set(writer, attempt);
      try {
        await writer.authorize(batch, now);
        attempt.isCommitted = true;
      } catch (error) {
        attempt.error = errorOf(error);
        throw error;
      }
    });
    const all = Promise.allSettled(committing);
    if (!this.#isAwaited || writers.length < 2) {
      await all;
      return;
    }
    const leave = new AbortController();
    const late = sleep(PATIENCE_MS, undefined, { signal: leave.signal }).then(() =>
      Promise.any(committing),
    );
    // if none has committed, all have finished
    await Promise.race([all, late.catch(() => all)]);
    leave.abort();
  }

  #keep(writer: Writer, batch: readonly Login[], error: Error | undefined): void {
    const why = error?.message ?? writer.health.away ?? `store: ${writer.name}: is slow to answer`;
    // a store that refuses a row is up, and its drain finds out which row it is
    writer.keep(batch, error instanceof RowRefusedError ? undefined : why);
    this.#report(`${why}; the login is kept in its spool`);
  }
}

interface WriterOutcome {
  isCommitted: boolean;
  error: Error | undefined;
}

/** One error for all errors of a login: preferably a refusal, which a drain has to resolve. */
function refusalOr(errors: ReadonlyMap<Writer, Error>): Error {
  const all = [...errors.values()];
  return all.find((error) => error instanceof RowRefusedError) ?? together(all);
}

/**
 * Called if no store has committed the batch. Throws, so that the batch stays where it is, except
 * for a single login that some stores refuse for good while the others are away: it goes to the
 * spools of the latter, because no other store will ever have it.
 */
function refuse(batch: readonly Login[], attempts: readonly WriterOutcome[]): void {
  const errors = attempts.flatMap(({ error }) => error ?? []);
  const refusals = errors.filter((error) => error instanceof RowRefusedError);
  const [refusal] = refusals;
  if (refusal === undefined) throw together(errors);
  if (batch.length > 1 || refusals.length === errors.length) throw refusal;
}
