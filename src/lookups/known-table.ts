/**
 * What is known of addresses, for so many of them: like {@link Recent} it forgets what was set longest ago, and is two generations. But
 * the values are numbers in arrays, not objects: fifty thousand authorizations are then 5 MB, not 10.
 */
import type { Address } from "../login/address.ts";
import type { Moment, Time } from "../lib/clock.ts";

/** An authorization, as far as it is known. */
export interface Known {
  /** The last login. */
  readonly lastSeen: Time;
  /** The same by the clock that nobody sets. */
  readonly moment: Moment;
  /** The last login may be in the spool only. */
  readonly spooled: boolean;
  /** When it was noted or first learnt, counted in events. */
  readonly event: number;
  /** When it was last noted, or answered for by the store. */
  readonly confirmed: Moment;
}

export class KnownTable {
  readonly #limit: number;
  #younger: Generation;
  #older: Generation;

  /** @param limit so many addresses are remembered for certain, twice as many at most */
  constructor(limit: number) {
    this.#limit = limit;
    this.#younger = new Generation(limit);
    this.#older = new Generation(limit);
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#younger.size + this.#older.size;
  }

  get(address: Address): Known | undefined {
    return this.#younger.get(address) ?? this.#older.get(address);
  }

  set(address: Address, known: Known): void {
    this.#older.delete(address);
    this.#younger.set(address, known);
    if (this.#younger.used < this.#limit) return;
    this.#older = this.#younger;
    this.#younger = new Generation(this.#limit);
  }

  delete(address: Address): void {
    this.#younger.delete(address);
    this.#older.delete(address);
  }
}

/** lastSeen, moment, event and confirmed, in this order. */
const NUMBERS = 4;

class Generation {
  readonly #places = new Map<Address, number>();
  readonly #numbers: Float64Array;
  readonly #spooled: Uint8Array;
  /** Places taken so far; that of what was deleted stays so. */
  used = 0;

  constructor(limit: number) {
    this.#numbers = new Float64Array(limit * NUMBERS);
    this.#spooled = new Uint8Array(limit);
  }

  get size(): number {
    return this.#places.size;
  }

  get(address: Address): Known | undefined {
    const place = this.#places.get(address);
    if (place === undefined) return undefined;
    const numbers = this.#numbers;
    const at = place * NUMBERS;
    return {
      lastSeen: numbers[at] ?? NaN,
      moment: numbers[at + 1] ?? NaN,
      event: numbers[at + 2] ?? NaN,
      confirmed: numbers[at + 3] ?? NaN,
      spooled: this.#spooled[place] === 1,
    };
  }

  set(address: Address, { lastSeen, moment, event, confirmed, spooled }: Known): void {
    let place = this.#places.get(address);
    if (place === undefined) {
      place = this.used++;
      this.#places.set(address, place);
    }
    this.#numbers.set([lastSeen, moment, event, confirmed], place * NUMBERS);
    this.#spooled[place] = Number(spooled);
  }

  delete(address: Address): void {
    this.#places.delete(address);
  }
}
