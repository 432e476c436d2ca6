/**
 * What time it is for a database server, without asking it at each login.
 *
 * A login's time is put into the server's terms before it is sent. The server itself could do that in the statement, but where it hangs,
 * or the network does, the statement arrives late, and would take the delay for a difference between the clocks.
 */
import { monotonicClock, type MonotonicClock } from "../../lib/clock.ts";

/** How long an answer of the server's is built upon. Milliseconds. */
const READING_MS = 60_000;

/** Where this host's clock has been set, or has slept, by more than this, the server is asked again. Milliseconds. */
const STEP_MS = 1_000;

/** Clocks that differ by no more agree: Store.authorize then writes down this host's times as they are. Milliseconds. */
export const AGREE_MS = 2_000;

/** A connection's server's clock, at a moment and of this host's clock; all in milliseconds. */
interface Reading {
  readonly link: unknown;
  readonly server: number;
  readonly moment: number;
  readonly host: number;
  /** How far off `server` may be: half of what the question took. */
  readonly error: number;
}

export class StoreClock<Link> {
  readonly #ask: (link: Link) => Promise<number>;
  readonly #moment: MonotonicClock;
  #reading: Reading | undefined;

  /**
   * @param ask asks the server at the other end what time it is, in milliseconds since 1970
   */
  constructor(ask: (link: Link) => Promise<number>, moment = monotonicClock) {
    this.#ask = ask;
    this.#moment = moment;
  }

  /**
   * How to spell this host's times for the server: see {@link spelling}.
   *
   * @param now this host's clock, in milliseconds since 1970
   * @throws what `ask` does
   */
  async spelling(link: Link, now: number): Promise<Spelling> {
    const moment = this.#moment();
    let reading = this.#reading;
    if (reading === undefined || reading.link !== link || !isGood(reading, moment, now)) {
      const asked = await this.#ask(link);
      const error = (this.#moment() - moment) / 2;
      reading = { link, server: asked - error, moment, host: now, error };
      this.#reading = reading;
    }
    return spelling(now, reading.server + (moment - reading.moment), reading.error);
  }
}

/** This host's clock, going on from `now` (milliseconds since 1970): what is told the time may have to wait for its turn. */
export function ticking(now: number): () => number {
  const start = performance.now();
  return () => now + (performance.now() - start);
}

/** This host's times in a store's terms. Both take and return milliseconds since 1970; the future is now. */
export interface Spelling {
  /**
   * What is written: the time as it is where the clocks agree, so that a login that comes twice has the same time twice;
   * otherwise the store's now less the time's age.
   */
  readonly written: (time: number) => number;
  /** The store's now less the time's age, and less what that may be off by: what a revocation is compared with. */
  readonly earliest: (time: number) => number;
}

/**
 * How to spell this host's times for a store.
 *
 * @param now this host's clock, in milliseconds since 1970
 * @param storeNow the store's at the same moment
 * @param error how far off that may be; default 0
 */
export function spelling(now: number, storeNow: number, error = 0): Spelling {
  const exact = (time: number) => storeNow - Math.max(0, now - time);
  return {
    written: (time) => (Math.abs(exact(time) - time) <= AGREE_MS + error ? time : exact(time)),
    earliest: (time) => exact(time) - error,
  };
}

function isGood({ moment, host, error }: Reading, momentNow: number, hostNow: number): boolean {
  const passed = momentNow - moment;
  return passed < READING_MS && error < STEP_MS && Math.abs(hostNow - host - passed) < STEP_MS;
}
