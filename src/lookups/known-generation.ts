import type { Address } from "../login/address.ts";
import type { Moment, Time } from "../lib/clock.ts";
import type { Generation } from "../lib/recent.ts";

/** An authorization, as far as it is known. */
export interface Known {
  /** The last login. */
  readonly lastSeen: Time;
  /** The last login by the monotonic clock. */
  readonly moment: Moment;
  /** Whether the last login may be in the spool only. */
  readonly spooled: boolean;
  /** The event that noted or first learnt it, as a number. */
  readonly event: number;
  /** When it was last noted, or confirmed by the store. */
  readonly confirmed: Moment;
}

/** lastSeen, moment, event and confirmed, in this order. */
const NUMBERS = 4;

/**
 * A generation of known addresses. Its values are numbers in arrays instead of objects, so that
 * fifty thousand authorizations take 5 MB, not 10.
 */
export class KnownGeneration implements Generation<Address, Known> {
  readonly #limit: number;
  readonly #places = new Map<Address, number>();
  readonly #numbers: Float64Array;
  readonly #spooled: Uint8Array;
  /** The number of places taken, including those of deleted addresses. */
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#numbers = new Float64Array(limit * NUMBERS);
    this.#spooled = new Uint8Array(limit);
  }

  get size(): number {
    return this.#places.size;
  }

  get isFull(): boolean {
    return this.#used >= this.#limit;
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
      place = this.#used++;
      this.#places.set(address, place);
    }
    this.#numbers.set([lastSeen, moment, event, confirmed], place * NUMBERS);
    this.#spooled[place] = Number(spooled);
  }

  delete(address: Address): void {
    this.#places.delete(address);
  }
}
