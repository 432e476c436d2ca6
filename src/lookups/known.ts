/**
 * Which addresses may relay, from the daemon's memory, or from the store if memory does not know.
 *
 * Memory contains the logins of this host, and those that the store has reported. Each counts for
 * exactly one lifetime, by this host's clock and by a monotonic one, whichever ends first. So
 * setting the clock prolongs nothing, and neither does sleep, during which only the first one
 * advances. After {@link CONFIRM_MS} the store is asked again, because an authorization may have
 * been revoked; memory goes on counting only while the store is away, or if it cannot be queried.
 * Two kinds of login outlast the store's "no":
 *
 * - a login noted after the question was sent, which the answer cannot know;
 * - a login noted as spooled, which is still on its way, until the store has it or it is noted as
 *   committed or refused.
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
import { KnownGeneration, type Known } from "./known-generation.ts";

/** How long an authorization counts before the store is asked to confirm it, in milliseconds. */
const CONFIRM_MS = 5_000;

/** How long the store's "no" counts, so that a spam run does not reach the store. Milliseconds. */
const UNKNOWN_MS = 1_000;

const AUTHORIZED: Answered = { answer: "authorized", from: "memory" };
const UNKNOWN: Answered = { answer: "unknown", from: "memory" };

/** The time of a login. */
type Seen = Pick<Known, "lastSeen" | "moment">;

export interface KnownOptions {
  /**
   * The current configuration, which a reload changes. Excluded addresses are always unknown, and
   * the store is never asked about them.
   */
  readonly config: () => Pick<Config, "lifetime" | "exclude">;
  /**
   * The current store. It needs a connection of its own: on a shared one, lookups would wait for
   * other statements.
   */
  readonly store: () => Pick<Store, "name" | "lookup">;
  readonly now: Clock;
  readonly moment?: MonotonicClock;
  /** How long a lookup may wait for the store, in milliseconds; default 500. */
  readonly deadline?: number;
  /**
   * The number of addresses of each kind that are never forgotten; up to twice as many are
   * remembered. Default 25,000.
   */
  readonly limit?: number;
  /** Called with the reason why the store did not answer. Default: does nothing. */
  readonly onFailure?: (problem: string) => void;
}

export class KnownAuthorizations implements Lookup {
  readonly #config: KnownOptions["config"];
  readonly #now: Clock;
  readonly #moment: MonotonicClock;
  readonly #questions: Questions;
  readonly #authorized: Recent<Known, Address>;
  /** The moment of the store's "no"; logins noted since outweigh it. */
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
    this.#authorized = new Recent(limit, (most) => new KnownGeneration(most));
    this.#unknown = new Recent(limit);
  }

  /** The number of remembered addresses that may relay, or recently could. */
  get size(): number {
    return this.#authorized.size;
  }

  /**
   * Notes a login, which authorizes its address from now on. Call it once the login is committed or
   * spooled, and for a spooled login again once it is committed. A time in the future counts as
   * now.
   */
  note({ address, time }: Login, outcome: "committed" | "spooled"): void {
    if (outcome === "committed") this.#questions.retry();
    const seen = this.#seen(time);
    if (this.#isExpired(seen)) return;
    const known = this.#live(address);
    // an earlier login does not tell where the last one is
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

  /**
   * Forgets a login that was noted as spooled and will never be in the store: the store refused it,
   * or its time cannot be trusted.
   */
  forget({ address, time }: Login): void {
    const known = this.#authorized.get(address);
    // the name of a file has whole microseconds
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
        // no other source can know more
        return { answer: "unknown", from: "memory" };
      case "away":
        return { answer: "away", from: "memory" };
    }
  }

  /** Learns the store's answer; `asked` is the event at which the question was sent. */
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
    // whole seconds in the column, and clocks that nearly agree, cause this much difference
    const shown = known.moment - seen.moment <= AGREE_MS;
    this.#authorized.set(address, {
      ...((outlasts || shown) && known.moment > seen.moment ? known : seen),
      spooled: known.spooled && !shown,
      event: known.event,
      confirmed,
    });
  }

  /** A time by both clocks. The future counts as now. */
  #seen(time: number): Seen {
    // read once, because it may advance between two readings
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
