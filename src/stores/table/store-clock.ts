/**
 * What time it is for a store, without asking it at each login and lookup.
 *
 * Callers know this host's clock only; a store's rows have the store's. A login's time is put into
 * the store's terms before it is sent. The server itself could do that in the statement, but where
 * it hangs, or the network does, the statement arrives late, and would take the delay for a
 * difference between the clocks.
 */
import {
  monotonicClock,
  type Clock,
  type Moment,
  type MonotonicClock,
  type Time,
} from "../../lib/clock.ts";

/** How long an answer of the server's is built upon. Milliseconds. */
const READING_MS = 60_000;

/**
 * Where this host's clock has been set, or has slept, by more than this, the server is asked again.
 * Milliseconds.
 */
const STEP_MS = 1_000;

/**
 * Clocks that differ by no more agree: times are then written and read as they are. Milliseconds.
 */
export const AGREE_MS = 2_000;

/** A connection's server's clock at a moment. Milliseconds. */
interface Reading {
  readonly link: unknown;
  readonly server: number;
  readonly moment: Moment;
  readonly host: Time;
  /** How far off `server` may be: half of what the question took. */
  readonly error: number;
}

export interface StoreClockOptions {
  /** Default: Date.now */
  readonly now?: Clock;
  /** Default: {@link monotonicClock} */
  readonly moment?: MonotonicClock;
}

export class StoreClock<Link> {
  readonly #ask: (link: Link) => Promise<number>;
  readonly #now: Clock;
  readonly #moment: MonotonicClock;
  #reading: Reading | undefined;

  /** @param ask asks the server at the other end what time it is, in milliseconds since 1970 */
  constructor(
    ask: (link: Link) => Promise<number>,
    { now = Date.now, moment = monotonicClock }: StoreClockOptions = {},
  ) {
    this.#ask = ask;
    this.#now = now;
    this.#moment = moment;
  }

  /**
   * How this host's times and the store's relate. Asks the server once a minute, and again after a
   * reconnect or after this host's clock was set.
   *
   * @param now what this host's clock says. Default: what it says now
   * @throws what `ask` does
   */
  async compare(link: Link, now: Time = this.#now()): Promise<Clocks> {
    const moment = this.#moment();
    let reading = this.#reading;
    if (reading === undefined || reading.link !== link || !isGood(reading, moment, now)) {
      const asked = await this.#ask(link);
      const error = (this.#moment() - moment) / 2;
      reading = { link, server: asked - error, moment, host: now, error };
      this.#reading = reading;
    }
    return new Clocks(now, reading.server + (moment - reading.moment), reading.error);
  }
}

/**
 * This host's clock and a store's at one moment. The store's times are in milliseconds since 1970,
 * too.
 */
export class Clocks {
  readonly #now: Time;
  readonly #storeNow: number;
  /** How far off `storeNow` may be. */
  readonly #error: number;

  constructor(now: Time, storeNow: number, error = 0) {
    this.#now = now;
    this.#storeNow = storeNow;
    this.#error = error;
  }

  /** How far the store's clock is ahead of this host's. */
  get ahead(): number {
    return this.#storeNow - this.#now;
  }

  /**
   * What to write for a time of this host's: the time as it is where the clocks agree, so that a
   * login that comes twice has the same time twice; otherwise the store's now less the time's age.
   * The future is now.
   */
  written(time: Time): number {
    const exact = this.#exact(time);
    return this.#agrees(exact - time) ? time : exact;
  }

  /**
   * The store's now less the time's age, and less what that may be off by: what a revocation is
   * compared with.
   */
  earliest(time: Time): number {
    return this.#exact(time) - this.#error;
  }

  /** A time of the store's in this host's terms: as it is where the clocks agree. */
  read(time: number): Time {
    return this.#agrees(this.ahead) ? time : time - this.ahead;
  }

  #exact(time: Time): number {
    return this.#storeNow - Math.max(0, this.#now - time);
  }

  #agrees(difference: number): boolean {
    return Math.abs(difference) <= AGREE_MS + this.#error;
  }
}

function isGood({ moment, host, error }: Reading, momentNow: Moment, hostNow: Time): boolean {
  const passed = momentNow - moment;
  return passed < READING_MS && error < STEP_MS && Math.abs(hostNow - host - passed) < STEP_MS;
}
