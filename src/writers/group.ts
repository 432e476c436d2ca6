import { setTimeout as sleep } from "node:timers/promises";
import { RowRefusedError, errorOf, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { together } from "./answers.ts";
import type { Submission, Writer } from "./writer.ts";

/** How long a store may take for a login that another one has committed, where somebody waits. Milliseconds. */
const PATIENCE_MS = 100;

/** A login on its way into every store. */
export interface Recording {
  /**
   * Resolves once one store has committed the login, and each of the others has committed it or keeps it in its spool.
   *
   * Rejects where none has committed it, with RowRefusedError where one has refused it; then it is in no spool.
   */
  readonly done: Promise<void>;
  /**
   * Nobody waits any longer, and `done` no longer settles.
   *
   * @returns whether one store has committed the login; the others then keep it. Otherwise it is for the caller to keep
   */
  giveUp(): boolean;
}

/** The writers of all configured stores. A login goes to every one of them. */
export class WriterGroup {
  readonly writers: readonly [Writer, ...Writer[]];
  readonly #isAwaited: boolean;
  readonly #report: (line: string) => void;

  /**
   * @param isAwaited whether somebody waits for what is written: then a store that takes long is as good as away
   * @param report takes a line about a login that one of the stores could not take where another could
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

  /** Why no store takes logins; undefined where one does. */
  get away(): string | undefined {
    const reasons = this.writers.flatMap(({ health }) => health.away ?? []);
    return reasons.length < this.writers.length ? undefined : [...new Set(reasons)].join("; ");
  }

  /** Hands a login that just came in to the stores that are there, or to all of them where none is. */
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
   * Writes what a drain or a command carries: resolves once one store has committed all of it, and each of the others has
   * committed it or keeps it in its spool.
   *
   * @throws StoreAwayError, RowRefusedError where none has committed it; then it is in no spool
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
    // those that were away are for their own drains to try, unless nothing else is left
    if (!this.writers.some(isCommitted)) await this.#try(attempts, away, batch, now);
    if (!this.writers.some(isCommitted)) refuse(batch, [...attempts.values()]);
    for (const writer of this.writers) {
      if (!isCommitted(writer)) this.#keep(writer, batch, attempts.get(writer)?.error);
    }
  }

  /** Opens the stores that are away anew. */
  async renew(): Promise<void> {
    const away = this.writers.filter(({ health }) => health.away !== undefined);
    await Promise.all(away.map((writer) => writer.renew()));
  }

  /** Resolves once no statement of live logins is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.idle()));
  }

  async close(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.close()));
  }

  /** Adds to `attempts`. Returns when all have ended, or, where somebody waits, when one has committed and the others take long. */
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
    // none has: then all have ended
    await Promise.race([all, late.catch(() => all)]);
    leave.abort();
  }

  #keep(writer: Writer, batch: readonly Login[], error: Error | undefined): void {
    const why = error?.message ?? writer.health.away ?? `store: ${writer.name}: is slow to answer`;
    // a store that refuses a row is there, and its drain finds out which row
    writer.keep(batch, error instanceof RowRefusedError ? undefined : why);
    this.#report(`${why}; the login is kept in its spool`);
  }
}

interface WriterOutcome {
  isCommitted: boolean;
  error: Error | undefined;
}

/** What stands for all errors of a login: a refusal, which a drain has to sort out, rather than an outage. */
function refusalOr(errors: ReadonlyMap<Writer, Error>): Error {
  const all = [...errors.values()];
  return all.find((error) => error instanceof RowRefusedError) ?? together(all);
}

/**
 * No store has committed the batch: throws, so that it stays where it is; unless it is one login that some refuse for good, and the
 * others are away: it is for their spools then, since nobody else would ever have it.
 */
function refuse(batch: readonly Login[], attempts: readonly WriterOutcome[]): void {
  const errors = attempts.flatMap(({ error }) => error ?? []);
  const refusals = errors.filter((error) => error instanceof RowRefusedError);
  const [refusal] = refusals;
  if (refusal === undefined) throw together(errors);
  if (batch.length > 1 || refusals.length === errors.length) throw refusal;
}
