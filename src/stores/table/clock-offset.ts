import { AGREE_MS } from "./store-clock.ts";
import type { Store } from "../store.ts";
import { monotonicClock, type Clock, type MonotonicClock } from "../../lib/clock.ts";

/** How long the difference between two clocks is taken to stay the same. Milliseconds. */
const OFFSET_MS = 60_000;

/** Where this host's clock has been set by more than this, the store is asked again. Milliseconds. */
const STEP_MS = 1_000;

interface Reading {
  readonly store: unknown;
  readonly moment: number;
  readonly host: number;
  readonly offset: number;
}

/** How far a store's clock is ahead of this host's, without asking it each time. */
export class ClockOffset {
  readonly #now: Clock;
  readonly #moment: MonotonicClock;
  #known: Reading | undefined;

  constructor(now: Clock = Date.now, moment = monotonicClock) {
    this.#now = now;
    this.#moment = moment;
  }

  /**
   * The store's clock minus this host's, in milliseconds; 0 where they agree.
   *
   * @throws what {@link Store.clockOffset} does
   */
  async of(store: Pick<Store, "clockOffset">): Promise<number> {
    const [moment, host] = [this.#moment(), this.#now()];
    const known = this.#known;
    if (known?.store === store && isGood(known, moment, host)) return known.offset;
    const offset = await store.clockOffset();
    this.#known = { store, moment, host, offset: Math.abs(offset) > AGREE_MS ? offset : 0 };
    return this.#known.offset;
  }
}

function isGood(reading: Reading, moment: number, host: number): boolean {
  const passed = moment - reading.moment;
  return passed < OFFSET_MS && Math.abs(host - reading.host - passed) < STEP_MS;
}
