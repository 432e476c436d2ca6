import { AGREE_MS } from "./store-clock.ts";
import type { Store } from "./store.ts";

/** How long the difference between two clocks is taken to stay the same. Milliseconds. */
const OFFSET_MS = 60_000;

/** How far a store's clock is ahead of this host's, without asking it each time. */
export class ClockOffset {
  readonly #now: () => number;
  #known: { readonly store: unknown; readonly at: number; readonly offset: number } | undefined;

  /** @param now a clock, in milliseconds; which one does not matter */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * The store's clock minus this host's, in milliseconds; 0 where they agree.
   *
   * @throws what {@link Store.clockOffset} does
   */
  async of(store: Pick<Store, "clockOffset">): Promise<number> {
    const at = this.#now();
    const known = this.#known;
    // a time in the future was before somebody set the clock back
    if (known?.store === store && known.at <= at && at - known.at < OFFSET_MS) return known.offset;
    const offset = await store.clockOffset();
    this.#known = { store, at, offset: Math.abs(offset) > AGREE_MS ? offset : 0 };
    return this.#known.offset;
  }
}
