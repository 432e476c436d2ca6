/**
 * Who may relay, as far as this daemon knows without asking, and from the store where it does not.
 *
 * What is known was noted here (a login of this host) or learnt from the store (a login of another one). It counts until exactly the
 * lifetime after the last login, by this host's clock and by one that nobody sets: whichever is first. So setting the clock prolongs
 * nothing; nor does sleep, through which only the first one goes on. The store has the last word, since somebody may have revoked it: after {@link CONFIRM_MS} it is
 * asked again, and only while it is away, or where it is one that cannot be asked, does memory go on counting. Two things outlast its "no":
 * - what was noted after the question was put: the answer cannot know of it;
 * - what was noted as spooled, until the store has shown that login, or it was noted as committed or refused: it is still on its
 *   way there.
 */
import type { Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import type { Login } from "../login/login.ts";
import type { Answered, Lookup } from "./lookup.ts";
import { Questions } from "./questions.ts";
import { monotonicClock, type Clock, type MonotonicClock } from "../lib/clock.ts";
import { Recent } from "../lib/recent.ts";
import { AGREE_MS } from "../stores/table/store-clock.ts";
import type { Store } from "../stores/store.ts";
import { KnownTable, type Known } from "./known-table.ts";

/** How long an authorization counts before the store is asked whether it still does. Milliseconds. */
const CONFIRM_MS = 5_000;

/** How long the store's "no" counts: a spam run does not reach it. Milliseconds. */
const UNKNOWN_MS = 1_000;

const AUTHORIZED: Answered = { answer: "authorized", from: "memory" };
const UNKNOWN: Answered = { answer: "unknown", from: "memory" };

/** When a login was. */
type Seen = Pick<Known, "lastSeen" | "moment">;

export interface KnownOptions {
  /** As it is now: a reload changes it. What is excluded is always unknown, and the store is never asked about it. */
  readonly config: () => Pick<Config, "lifetime" | "exclude">;
  /** Also as it is now. A handle for lookups alone: on one that is shared they wait behind what else is asked. */
  readonly store: () => Pick<Store, "lookup">;
  readonly now: Clock;
  readonly moment?: MonotonicClock;
  /** How long a lookup may wait for the store. Milliseconds; default 500. */
  readonly deadline?: number;
  /** So many addresses of each kind are remembered for certain, twice as many at most. Default 25,000. */
  readonly limit?: number;
  /** Told why the store did not answer a question. Default: nobody is told. */
  readonly onFailure?: (problem: string) => void;
}

export class KnownAuthorizations implements Lookup {
  readonly #config: KnownOptions["config"];
  readonly #now: Clock;
  readonly #moment: MonotonicClock;
  readonly #questions: Questions;
  readonly #authorized: KnownTable;
  /** The moment when the store said "no"; what was noted since counts more. */
  readonly #unknown: Recent<number>;
  #events = 0;

  constructor({
    config,
    store,
    now,
    moment = monotonicClock,
    deadline = 500,
    limit = 25_000,
    onFailure = () => undefined,
  }: KnownOptions) {
    this.#config = config;
    this.#now = now;
    this.#moment = moment;
    this.#questions = new Questions({ store, moment, deadline, onFailure });
    this.#authorized = new KnownTable(limit);
    this.#unknown = new Recent(limit);
  }

  /** How many addresses are remembered that may relay, or might until lately. */
  get size(): number {
    return this.#authorized.size;
  }

  /**
   * Somebody has logged in: authorized from now on. To be called after the login was committed or spooled, and for a spooled one
   * once more when it was committed. A time in the future counts as now.
   */
  note({ address, time }: Login, outcome: "committed" | "spooled"): void {
    const seen = this.#seen(time);
    if (this.#isExpired(seen)) return;
    const known = this.#live(address);
    // an earlier login says nothing about where the last one is
    const isLast =
      known === undefined ||
      seen.lastSeen >= known.lastSeen ||
      seen.moment - known.moment > AGREE_MS;
    this.#authorized.set(address, {
      ...(isLast ? seen : known),
      spooled: outcome === "spooled" || (!isLast && known.spooled),
      event: ++this.#events,
      confirmed: this.#moment(),
    });
  }

  /** A login that was noted as spooled will never be in the store: it was refused there, or its time is not to be trusted. */
  forget({ address, time }: Login): void {
    const known = this.#authorized.get(address);
    // a file's name holds whole microseconds
    if (known?.spooled === true && known.lastSeen < time + 1) this.#authorized.delete(address);
  }

  lookup(address: Address): Answered | Promise<Answered> {
    if (this.#config().exclude.some((network) => network.contains(address))) return UNKNOWN;
    const known = this.#live(address);
    const moment = this.#moment();
    if (known === undefined) {
      if (moment - (this.#unknown.get(address) ?? NaN) < UNKNOWN_MS) return UNKNOWN;
    } else if (moment - known.confirmed < CONFIRM_MS) {
      return AUTHORIZED;
    }
    return this.#ask(address);
  }

  async #ask(address: Address): Promise<Answered> {
    const asked = ++this.#events;
    const outcome = await this.#questions.ask(address, (lastSeen) =>
      this.#learn(address, lastSeen, asked),
    );
    // a login may have been noted while the store was asked
    const authorized = this.#live(address) !== undefined;
    if (authorized)
      return { answer: "authorized", from: outcome === "answered" ? "store" : "memory" };
    switch (outcome) {
      case "answered":
        return { answer: "unknown", from: "store" };
      case "unsupported":
        // what is known here is all that can be known
        return { answer: "unknown", from: "memory" };
      case "away":
        return { answer: "away", from: "memory" };
    }
  }

  /** Takes over what the store knows; `asked` says when the question was put. */
  #learn(address: Address, found: number | undefined, asked: number): void {
    const known = this.#live(address);
    const confirmed = this.#moment();
    const outlasts = known !== undefined && (known.spooled || known.event > asked);
    const seen = found === undefined ? undefined : this.#seen(found);
    if (seen === undefined || this.#isExpired(seen)) {
      if (outlasts) this.#authorized.set(address, { ...known, confirmed });
      else {
        this.#authorized.delete(address);
        this.#unknown.set(address, confirmed);
      }
      return;
    }
    if (known === undefined) {
      this.#authorized.set(address, { ...seen, spooled: false, event: asked, confirmed });
      return;
    }
    // a column of whole seconds, and clocks that agree, leave as much of a difference
    const shown = known.moment - seen.moment <= AGREE_MS;
    this.#authorized.set(address, {
      ...((outlasts || shown) && known.moment > seen.moment ? known : seen),
      spooled: known.spooled && !shown,
      event: known.event,
      confirmed,
    });
  }

  /** A time by both clocks. The future is now. */
  #seen(time: number): Seen {
    // read once: between two readings it may tick
    const now = this.#now();
    return { lastSeen: Math.min(time, now), moment: this.#moment() - Math.max(0, now - time) };
  }

  #live(address: Address): Known | undefined {
    const known = this.#authorized.get(address);
    if (known === undefined || !this.#isExpired(known)) return known;
    this.#authorized.delete(address);
    return undefined;
  }

  #isExpired({ lastSeen, moment }: Seen): boolean {
    const age = Math.max(this.#now() - lastSeen, this.#moment() - moment);
    return age >= this.#config().lifetime;
  }
}
