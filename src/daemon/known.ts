/**
 * Who may relay, as far as this daemon knows without asking, and from the store where it does not.
 *
 * What is known was noted here (a login of this host) or learnt from the store (a login of another one). It counts until exactly the
 * lifetime after the last login. The store has the last word, since somebody may have revoked it: after {@link CONFIRM_MS} it is
 * asked again, and only while it is away, or where it is one that cannot be asked, does memory go on counting. Two things outlast its "no":
 * - what was noted after the question was put: the answer cannot know of it;
 * - what was noted as spooled, until the store has shown that login, or it was noted as committed: it is still on its way there.
 */
import type { Address } from "../address.ts";
import type { Config } from "../config/config.ts";
import type { Login } from "../login.ts";
import type { Answered, Lookup } from "../lookups/lookup.ts";
import { isWithin, Questions } from "../lookups/questions.ts";
import { Recent } from "../recent.ts";
import { AGREE_MS } from "../stores/store-clock.ts";
import type { Store } from "../stores/store.ts";
import { KnownTable, type Known } from "./known-table.ts";

/** How long an authorization counts before the store is asked whether it still does. Milliseconds. */
const CONFIRM_MS = 5_000;

/** How long the store's "no" counts: a spam run does not reach it. Milliseconds. */
const UNKNOWN_MS = 1_000;

const AUTHORIZED: Answered = { answer: "authorized", from: "memory" };
const UNKNOWN: Answered = { answer: "unknown", from: "memory" };

export interface KnownOptions {
  /** As it is now: a reload changes it. What is excluded is always unknown, and the store is never asked about it. */
  readonly config: () => Pick<Config, "lifetime" | "exclude">;
  /** Also as it is now. A handle for lookups alone: on one that is shared they wait behind what else is asked. */
  readonly store: () => Pick<Store, "lookup" | "clockOffset">;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** How long a lookup may wait for the store. Milliseconds; default 500. */
  readonly deadline?: number;
  /** So many addresses of each kind are remembered for certain, twice as many at most. Default 25,000. */
  readonly limit?: number;
  /** Told after each question put to the store: why it did not answer, undefined where it did. Default: nobody is told. */
  readonly onStore?: (problem: string | undefined) => void;
}

export class KnownAuthorizations implements Lookup {
  readonly #config: KnownOptions["config"];
  readonly #now: () => number;
  readonly #questions: Questions;
  readonly #authorized: KnownTable;
  /** When the store said "no"; what was noted since counts more. Milliseconds since 1970. */
  readonly #unknown: Recent<number>;
  #events = 0;

  constructor({
    config,
    store,
    now,
    deadline = 500,
    limit = 25_000,
    onStore = () => undefined,
  }: KnownOptions) {
    this.#config = config;
    this.#now = now;
    this.#questions = new Questions({ store, now, deadline, onStore });
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
    const now = this.#now();
    const lastSeen = Math.min(time, now);
    if (this.#isExpired(lastSeen, now)) return;
    const known = this.#live(address, now);
    // an earlier login says nothing about where the last one is
    const isLast = known === undefined || lastSeen >= known.lastSeen;
    this.#authorized.set(address, {
      lastSeen: isLast ? lastSeen : known.lastSeen,
      spooled: outcome === "spooled" || (!isLast && known.spooled),
      event: ++this.#events,
      confirmed: now,
    });
  }

  lookup(address: Address): Answered | Promise<Answered> {
    if (this.#config().exclude.some((network) => network.contains(address))) return UNKNOWN;
    const now = this.#now();
    const known = this.#live(address, now);
    if (known === undefined) {
      if (isWithin(UNKNOWN_MS, this.#unknown.get(address) ?? NaN, now)) return UNKNOWN;
    } else if (isWithin(CONFIRM_MS, known.confirmed, now)) {
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
    const authorized = this.#live(address, this.#now()) !== undefined;
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
    const now = this.#now();
    const known = this.#live(address, now);
    const outlasts = known !== undefined && (known.spooled || known.event > asked);
    if (found === undefined || this.#isExpired(found, now)) {
      if (outlasts) this.#authorized.set(address, { ...known, confirmed: now });
      else {
        this.#authorized.delete(address);
        this.#unknown.set(address, now);
      }
      return;
    }
    const lastSeen = Math.min(found, now);
    if (known === undefined) {
      this.#authorized.set(address, { lastSeen, spooled: false, event: asked, confirmed: now });
      return;
    }
    // a column of whole seconds, and clocks that agree, leave as much of a difference
    const shown = known.lastSeen - lastSeen <= AGREE_MS;
    this.#authorized.set(address, {
      lastSeen: outlasts || shown ? Math.max(known.lastSeen, lastSeen) : lastSeen,
      spooled: known.spooled && !shown,
      event: known.event,
      confirmed: now,
    });
  }

  #live(address: Address, now: number): Known | undefined {
    const known = this.#authorized.get(address);
    if (known === undefined || !this.#isExpired(known.lastSeen, now)) return known;
    this.#authorized.delete(address);
    return undefined;
  }

  #isExpired(lastSeen: number, now: number): boolean {
    return now >= lastSeen + this.#config().lifetime;
  }
}
