import { parseEntryName, type EntryName } from "./entry.ts";

/** The number of names to sort at once, which takes a millisecond. */
const RUN = 2_048;

interface Run {
  readonly names: readonly string[];
  next: number;
}

/**
 * The logins that wait in a spool, oldest first, found and taken in portions.
 *
 * Sorting 200,000 of them at once would block the process for a tenth of a second, so they are
 * sorted in short runs, which are merged as logins are taken. Only names are kept: they begin with
 * the time in 16 digits, and so sort by it.
 */
export class Backlog {
  #runs: Run[] = [];
  #unsorted: string[] = [];
  #length = 0;
  #newest = "";

  /** The number of logins that are left. */
  get length(): number {
    return this.#length;
  }

  /** The newest login that was added. */
  get newest(): EntryName | undefined {
    return parseEntryName(this.#newest);
  }

  /** @param name the name of an entry, valid for {@link parseEntryName} */
  add(name: string): void {
    this.#length += 1;
    if (name > this.#newest) this.#newest = name;
    this.#unsorted.push(name);
    if (this.#unsorted.length === RUN) this.#sort();
  }

  /** Removes and returns the oldest `count`, or all that are left. */
  take(count: number): EntryName[] {
    this.#sort();
    const taken: EntryName[] = [];
    while (taken.length < count && this.#length > 0) {
      const entry = parseEntryName(this.#oldest());
      if (entry !== undefined) taken.push(entry);
    }
    this.#runs = this.#runs.filter(({ names, next }) => next < names.length);
    return taken;
  }

  /** Removes and yields them one by one. */
  *[Symbol.iterator](): Generator<EntryName, void, void> {
    while (this.#length > 0) yield* this.take(1);
  }

  #sort(): void {
    if (this.#unsorted.length === 0) return;
    this.#runs.push({ names: this.#unsorted.toSorted(), next: 0 });
    this.#unsorted = [];
  }

  #oldest(): string {
    let first: Run | undefined;
    let oldest = "";
    for (const run of this.#runs) {
      const name = run.names[run.next];
      if (name === undefined || (first !== undefined && name >= oldest)) continue;
      first = run;
      oldest = name;
    }
    if (first !== undefined) first.next += 1;
    this.#length -= 1;
    return oldest;
  }
}
