/**
 * All configured stores as one: queries go to a store that can answer, and administration to every
 * store.
 */
import { UnsupportedError } from "../lib/errors.ts";
import type { Address } from "../login/address.ts";
import {
  isStore,
  type Authorization,
  type Count,
  type Installed,
  type OneWaySink,
  type PurgeOptions,
  type Revocation,
  type Store,
} from "../stores/store.ts";
import { answersOf, merged, together } from "./answers.ts";
import { FirstAnswer } from "./first-answer.ts";

export interface StoreGroupOptions {
  /** Whether clients wait for the answers, so that a slow store counts as away. Default false. */
  readonly hurry?: boolean;
  /** Takes a line about work that one store could not do but another could. Default: discarded. */
  readonly report?: (line: string) => void;
}

export class StoreGroup {
  readonly #all: readonly (Store | OneWaySink)[];
  readonly #stores: readonly Store[];
  readonly #lookup: FirstAnswer;
  readonly #report: (line: string) => void;

  /** @param all the stores, in the order in which lookups ask them */
  constructor(
    all: readonly (Store | OneWaySink)[],
    { hurry = false, report = () => undefined }: StoreGroupOptions = {},
  ) {
    this.#all = all;
    this.#stores = all.filter((each) => isStore(each));
    this.#lookup = new FirstAnswer(this.#stores, hurry);
    this.#report = report;
  }

  get name(): string {
    return this.#all.map(({ name }) => name).join(", ");
  }

  /**
   * The authorization from the first store that has one.
   *
   * @throws PartlyAwayError if a store that might have one cannot answer; StoreAwayError if none
   *   answers; UnsupportedError if none can be queried
   */
  async lookup(address: Address): Promise<Authorization | undefined> {
    this.#queryable("look up an address");
    return this.#lookup.lookup(address);
  }

  /** The authorizations of all stores. A store that is away is reported, unless all are. */
  async list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]> {
    const stores = this.#queryable("list authorizations");
    const { answers, errors } = await answersOf(stores.map((store) => store.list(options)));
    if (answers.length === 0) throw together(errors);
    for (const { message } of errors)
      this.#report(`${message}; its authorizations are not in this list`);
    return merged(answers);
  }

  /** The count of the store that has the most. */
  async count(): Promise<Count> {
    const stores = this.#queryable("count authorizations");
    const counts = await everyOne(stores.map((store) => store.count()));
    const oldest = counts.flatMap((count) => count.oldest?.getTime() ?? []);
    return {
      live: Math.max(...counts.map(({ live }) => live)),
      all: Math.max(...counts.map(({ all }) => all)),
      oldest: oldest.length === 0 ? undefined : new Date(Math.min(...oldest)),
    };
  }

  /**
   * Revokes in every store. Returns the number from the store that had the most. Stores that cannot
   * revoke are reported.
   */
  async revoke(which: Revocation): Promise<number> {
    const what = "revoke an authorization; it expires by itself";
    const stores = this.#queryable(what);
    for (const { name } of this.#all.filter((each) => !isStore(each))) {
      this.#report(noWayTo(name, what));
    }
    return Math.max(...(await everyOne(stores.map((store) => store.revoke(which)))));
  }

  /**
   * Purges every store. Returns, and reports as progress, the number from the store that has
   * deleted the most.
   */
  async purge({ onProgress, ...options }: PurgeOptions = {}): Promise<number> {
    const stores = this.#queryable("purge; the daemon there does that by itself");
    let most = 0;
    const note = (deleted: number) => {
      if (deleted <= most) return;
      most = deleted;
      onProgress?.(most);
    };
    const purges = stores.map((store) => store.purge({ ...options, onProgress: note }));
    return Math.max(...(await everyOne(purges)));
  }

  /** Installs in every store; a daemon on another host is only probed. */
  async install(): Promise<Installed> {
    const installed = await everyOne(
      this.#all.map((each) => (isStore(each) ? each.install() : probed(each))),
    );
    return {
      from: least(installed.map(({ from }) => from)),
      to: least(installed.map(({ to }) => to)),
    };
  }

  /** The lowest version of the stores that have one and are up. */
  async schemaVersion(): Promise<number | undefined> {
    const { answers, errors } = await answersOf(
      this.#all.map((each) =>
        isStore(each) ? each.schemaVersion() : each.probe().then(() => undefined),
      ),
    );
    if (answers.length === 0) throw together(errors);
    return least(answers);
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((store) => store.close()));
  }

  /** The stores that can be queried. Throws UnsupportedError if there are none. */
  #queryable(what: string): readonly Store[] {
    if (this.#stores.length === 0) throw new UnsupportedError(noWayTo(this.name, what));
    return this.#stores;
  }
}

function noWayTo(name: string, what: string): string {
  return `store: ${name}: cannot ${what}`;
}

async function probed(sink: OneWaySink): Promise<Installed> {
  await sink.probe();
  return { from: undefined, to: undefined };
}

/** Waits for all of them. One failure is an error, even if the others succeeded. */
async function everyOne<T>(work: readonly Promise<T>[]): Promise<readonly T[]> {
  const { answers, errors } = await answersOf(work);
  if (errors.length > 0) {
    throw together(errors, answers.length > 0 ? "; the other stores have done it" : "");
  }
  return answers;
}

function least(versions: readonly (number | undefined)[]): number | undefined {
  const known = versions.filter((version) => version !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
