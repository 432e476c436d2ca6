import { parseEntryName, type EntryName } from "./entry.ts";

/** Names sorted at once: a millisecond's work. */
const RUN = 2_048;

interface Run {
  readonly names: readonly string[];
  next: number;
}

/**
 * The logins that wait in a spool, oldest first, found and taken bit by bit.
 *
 * Sorting 200,000 of them at once would hold up everybody for a tenth of a second, so they are sorted in short runs and merged as
 * they are taken. Only names are kept: they begin with the time, all in 16 digits, and sort by it.
 */
export class Backlog {
  #runs: Run[] = [];
  #unsorted: string[] = [];
  #length = 0;
  #newest = "";

  /** How many are left. */
  get length(): number {
    return this.#length;
  }

  /** The newest of all that were added. */
  get newest(): EntryName | undefined {
    return parseEntryName(this.#newest);
  }

  /** @param name of an entry: {@link parseEntryName} takes it */
  add(name: string): void {
    this.#length += 1;
    if (name > this.#newest) this.#newest = name;
    this.#unsorted.push(name);
    if (this.#unsorted.length === RUN) this.#sort();
  }

  /** Takes out the oldest `count`, or all that are left. */
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

  /** Takes them out one after the other. */
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
