/**
 * Several stores as one: logins go to all of them, each with an outcome of its own, and questions to whichever can answer.
 *
 * What a store has not taken at once waits in a spool of its own (leg.ts) for a drain of its own (src/drain/drain-legs.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../login/address.ts";
import { RowRefusedError, StoreAwayError, UnsupportedError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { Attempt, Leg } from "./leg.ts";
import { answersOf, merged, together } from "./several-answers.ts";
import { SeveralLookup } from "./several-lookup.ts";
import type {
  Authorization,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "../stores/store.ts";

/** Where somebody waits: how long a store may take for logins that another one has committed. Milliseconds. */
const PATIENCE_MS = 100;

export interface SeveralOptions {
  /** Whether somebody waits for what is asked: then a store that takes long is as good as away. Default false. */
  readonly hurry?: boolean;
  /** Takes a line about what one of the stores could not do where the others could. Default: nobody hears it. */
  readonly report?: (line: string) => void;
}

export class SeveralStores implements Store {
  readonly name: string;
  readonly #legs: readonly Leg[];
  readonly #stores: readonly Store[];
  readonly #lookup: SeveralLookup;
  readonly #hurry: boolean;
  readonly #report: (line: string) => void;

  /** @param legs in the order in which lookups ask them */
  constructor(
    legs: readonly Leg[],
    { hurry = false, report = () => undefined }: SeveralOptions = {},
  ) {
    this.#legs = legs;
    this.#stores = legs.map(({ store }) => store);
    this.#lookup = new SeveralLookup(this.#stores, hurry);
    this.#hurry = hurry;
    this.#report = report;
    this.name = this.#stores.map(({ name }) => name).join(", ");
  }

  /**
   * Resolves once every store has the logins, or its spool does, and one has committed them.
   *
   * @throws StoreAwayError where none has committed them; then they are in no spool
   */
  async authorize(batch: readonly Login[], now: number): Promise<void> {
    if (batch.length === 0) return;
    const attempts: Attempt[] = [];
    const [here, away] = [false, true].map((isAway) =>
      this.#legs.filter((leg) => leg.isAway === isAway),
    );
    await this.#try(here ?? [], batch, now, attempts);
    // those that were away are for their drains to try, unless nothing else is left
    if (!attempts.some(isCommitted)) await this.#try(away ?? [], batch, now, attempts);
    if (!attempts.some(isCommitted)) refuse(batch, attempts);
    for (const leg of this.#legs) {
      const attempt = attempts.find((each) => each.leg === leg);
      if (attempt === undefined || !isCommitted(attempt)) this.#keep(leg, batch, attempt?.outcome);
    }
  }

  lookup(address: Address): Promise<Authorization | undefined> {
    return this.#lookup.lookup(address);
  }

  /** What all know. One that is away is told of, unless all are. */
  async list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]> {
    const { answers, errors } = await this.#ask((store) => store.list(options));
    if (answers.length === 0) throw together(errors);
    for (const { message } of errors) this.#report(`${message}; what it has is not in this list`);
    return merged(answers);
  }

  /** As many as the store with the most has. */
  async count(): Promise<Count> {
    const counts = await this.#askAll((store) => store.count());
    const oldest = counts.flatMap((count) => count.oldest?.getTime() ?? []);
    return {
      live: Math.max(...counts.map(({ live }) => live)),
      all: Math.max(...counts.map(({ all }) => all)),
      oldest: oldest.length === 0 ? undefined : new Date(Math.min(...oldest)),
    };
  }

  /** In all of them. Says how many the store with the most had. What cannot be revoked somewhere is told of. */
  async revoke(which: Revocation): Promise<number> {
    const revoked = await this.#askAll(async (store) => {
      try {
        return await store.revoke(which);
      } catch (error) {
        if (error instanceof UnsupportedError) this.#report(error.message);
        throw error;
      }
    });
    return Math.max(...revoked);
  }

  /** In all of them. Says how many the store with the most has deleted, and while it goes on, had so far. */
  async purge({ onProgress, ...options }: PurgeOptions = {}): Promise<number> {
    let most = 0;
    const note = (deleted: number) => {
      if (deleted <= most) return;
      most = deleted;
      onProgress?.(most);
    };
    const purged = await this.#askAll((store) => store.purge({ ...options, onProgress: note }));
    return Math.max(...purged);
  }

  async install(): Promise<Installed> {
    const installed = await this.#askAll((store) => store.install());
    return {
      from: least(installed.map(({ from }) => from)),
      to: least(installed.map(({ to }) => to)),
    };
  }

  /** The least of those that have one and are there. */
  async schemaVersion(): Promise<number | undefined> {
    const { answers, errors } = await this.#ask((store) => store.schemaVersion());
    if (answers.length === 0) throw together(errors);
    return least(answers);
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
  }

  /** Adds to `attempts`. Resolves when all have ended, or where somebody waits, when one has committed and the others take long. */
  async #try(
    legs: readonly Leg[],
    batch: readonly Login[],
    now: number,
    attempts: Attempt[],
  ): Promise<void> {
    const trying = legs.map((leg) => leg.authorize(batch, now));
    attempts.push(...trying);
    const all = Promise.allSettled(trying.map(({ committed }) => committed));
    if (!this.#hurry) {
      await all;
      return;
    }
    const leave = new AbortController();
    const late = sleep(PATIENCE_MS, undefined, { signal: leave.signal }).then(() =>
      Promise.any(trying.map(({ committed }) => committed)),
    );
    // none has: then all have ended
    await Promise.race([all, late.catch(() => all)]);
    leave.abort();
  }

  #keep(leg: Leg, batch: readonly Login[], outcome: Attempt["outcome"] | undefined): void {
    const { name } = leg.store;
    const late = `store: ${name}: takes long to answer`;
    const known = outcome === undefined ? leg.away : late;
    const why = outcome instanceof Error ? outcome.message : (known ?? late);
    // one that refuses a row is there, and its drain finds out which row
    const isNews = outcome !== undefined && !(outcome instanceof RowRefusedError);
    try {
      leg.keep(batch, isNews ? why : undefined);
    } catch (cause) {
      const reason = reasonOf(cause);
      throw new StoreAwayError(`${why}; nor can logins wait for it: ${reason}`, { cause });
    }
    this.#report(`${why}; the login waits for it`);
  }

  /** Asks all, and waits for all. Those that have no such thing are passed over, unless none has. */
  async #ask<T>(ask: (store: Store) => Promise<T>) {
    const { answers, errors } = await answersOf(this.#stores.map(ask));
    const troubles = errors.filter((error) => !(error instanceof UnsupportedError));
    return { answers, errors: answers.length === 0 && troubles.length === 0 ? errors : troubles };
  }

  /** The same, where every one of them counts. */
  async #askAll<T>(ask: (store: Store) => Promise<T>): Promise<readonly T[]> {
    const { answers, errors } = await this.#ask(ask);
    if (errors.length > 0)
      throw together(errors, answers.length > 0 ? "; the other stores have done it" : "");
    return answers;
  }
}

function isCommitted({ outcome }: Attempt): boolean {
  return outcome === "committed";
}

/**
 * No store has committed the batch: throws, so that it stays where it is; unless it is one login that some refuse for good, and the
 * others are away: it is for their spools then, since nobody else would ever have it.
 */
function refuse(batch: readonly Login[], attempts: readonly Attempt[]): void {
  const errors = attempts.flatMap(({ outcome }) => (outcome instanceof Error ? [outcome] : []));
  const refusals = errors.filter((error) => error instanceof RowRefusedError);
  const [refusal] = refusals;
  if (refusal === undefined) throw together(errors);
  if (batch.length > 1 || refusals.length === errors.length) throw refusal;
}

function least(versions: readonly (number | undefined)[]): number | undefined {
  const known = versions.filter((version) => version !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
