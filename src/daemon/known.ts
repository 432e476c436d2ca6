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
import { Recent } from "../lookups/recent.ts";
import { AGREE_MS } from "../stores/store-clock.ts";
import type { Store } from "../stores/store.ts";

/** How long an authorization counts before the store is asked whether it still does. Milliseconds. */
const CONFIRM_MS = 5_000;

/** How long the store's "no" counts: a spam run does not reach it. Milliseconds. */
const UNKNOWN_MS = 1_000;

export interface KnownOptions {
  /** As it is now: a reload changes it. What is excluded is always unknown, and the store is never asked about it. */
  readonly config: () => Pick<Config, "lifetime" | "exclude">;
  /** Also as it is now. A handle for lookups alone: on one that is shared they wait behind what else is asked. */
  readonly store: () => Pick<Store, "lookup" | "clockOffset">;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** How long a lookup may wait for the store. Milliseconds; default 500. */
  readonly deadline?: number;
  /** So many addresses of each kind are remembered for certain, twice as many at most. Default 100,000. */
  readonly limit?: number;
  /** Told after each question put to the store: why it did not answer, undefined where it did. Default: nobody is told. */
  readonly onStore?: (problem: string | undefined) => void;
}

/** Changed in place: a busy server would otherwise have to collect a million of them that have grown old. */
interface Known {
  /** The last login by this host's clock. Milliseconds since 1970. */
  lastSeen: number;
  /** The last login may be in the spool only. */
  spooled: boolean;
  /** When it was noted or first learnt, counted in events. */
  event: number;
  /** When it was last noted, or answered for by the store. Milliseconds since 1970. */
  confirmed: number;
}

export class KnownAuthorizations implements Lookup {
  readonly #config: KnownOptions["config"];
  readonly #now: () => number;
  readonly #questions: Questions;
  readonly #authorized: Recent<Known>;
  /** When the store said "no"; what was noted since counts more. Milliseconds since 1970. */
  readonly #unknown: Recent<number>;
  #events = 0;

  constructor({
    config,
    store,
    now,
    deadline = 500,
    limit = 100_000,
    onStore = () => undefined,
  }: KnownOptions) {
    this.#config = config;
    this.#now = now;
    this.#questions = new Questions({ store, now, deadline, onStore });
    this.#authorized = new Recent(limit);
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
    const known = this.#remember(address, { lastSeen, spooled: false, event: 0, confirmed: now });
    // an earlier login says nothing about where the last one is
    if (outcome === "spooled" || lastSeen >= known.lastSeen) known.spooled = outcome === "spooled";
    known.lastSeen = Math.max(known.lastSeen, lastSeen);
    known.event = ++this.#events;
    known.confirmed = now;
  }

  async lookup(address: Address): Promise<Answered> {
    if (this.#config().exclude.some((network) => network.contains(address))) {
      return { answer: "unknown", from: "memory" };
    }
    const now = this.#now();
    const known = this.#live(address, now);
    if (known !== undefined && isWithin(CONFIRM_MS, known.confirmed, now)) {
      return { answer: "authorized", from: "memory" };
    }
    if (known === undefined && isWithin(UNKNOWN_MS, this.#unknown.get(address) ?? NaN, now)) {
      return { answer: "unknown", from: "memory" };
    }
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
      if (outlasts) known.confirmed = now;
      else {
        this.#authorized.delete(address);
        this.#unknown.set(address, now);
      }
      return;
    }
    const lastSeen = Math.min(found, now);
    const learnt = this.#remember(address, {
      lastSeen,
      spooled: false,
      event: asked,
      confirmed: now,
    });
    // a column of whole seconds, and clocks that agree, leave as much of a difference
    const shown = learnt.lastSeen - lastSeen <= AGREE_MS;
    learnt.lastSeen = outlasts || shown ? Math.max(learnt.lastSeen, lastSeen) : lastSeen;
    if (shown) learnt.spooled = false;
    learnt.confirmed = now;
  }

  /** What is known of the address, or else `fresh`, as the one remembered last. */
  #remember(address: Address, fresh: Known): Known {
    const known = this.#live(address, fresh.confirmed) ?? fresh;
    this.#authorized.set(address, known);
    return known;
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
