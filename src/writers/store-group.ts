/** All configured stores as one: questions go to whichever can answer, and what is administered to every one of them. */
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
  /** Whether somebody waits for what is asked: then a store that takes long is as good as away. Default false. */
  readonly hurry?: boolean;
  /** Takes a line about what one of the stores could not do where the others could. Default: nobody hears it. */
  readonly report?: (line: string) => void;
}

export class StoreGroup {
  readonly #all: readonly (Store | OneWaySink)[];
  readonly #stores: readonly Store[];
  readonly #lookup: FirstAnswer;
  readonly #report: (line: string) => void;

  /** @param all in the order in which lookups ask them */
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
   * The authorization that the first store which has one says.
   *
   * @throws PartlyAwayError where one that might have it cannot answer, StoreAwayError where none does, UnsupportedError where
   *   none can ever
   */
  async lookup(address: Address): Promise<Authorization | undefined> {
    this.#queryable("look up an address");
    return this.#lookup.lookup(address);
  }

  /** What all know. One that is away is told of, unless all are. */
  async list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]> {
    const stores = this.#queryable("list authorizations");
    const { answers, errors } = await answersOf(stores.map((store) => store.list(options)));
    if (answers.length === 0) throw together(errors);
    for (const { message } of errors)
      this.#report(`${message}; its authorizations are not in this list`);
    return merged(answers);
  }

  /** As many as the store with the most has. */
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

  /** In all of them. Says how many the store with the most had. What cannot be revoked somewhere is told of. */
  async revoke(which: Revocation): Promise<number> {
    const what = "revoke an authorization; it expires by itself";
    const stores = this.#queryable(what);
    for (const { name } of this.#all.filter((each) => !isStore(each))) {
      this.#report(noWayTo(name, what));
    }
    return Math.max(...(await everyOne(stores.map((store) => store.revoke(which)))));
  }

  /** In all of them. Says how many the store with the most has deleted, and while it goes on, had so far. */
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

  /** In all of them; of a daemon on another host it only finds out whether that is there. */
  async install(): Promise<Installed> {
    const installed = await everyOne(
      this.#all.map((each) => (isStore(each) ? each.install() : probed(each))),
    );
    return {
      from: least(installed.map(({ from }) => from)),
      to: least(installed.map(({ to }) => to)),
    };
  }

  /** The least of those that have one and are there. */
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

  /** The stores that can be queried. Throws UnsupportedError where there is none. */
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

/** Waits for all. One that cannot do it is an error, though the others have done it. */
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
