/**
 * Sends questions to the store: protects the store from a flood of them, and lookups from a store
 * that is away.
 */
import type { Address } from "../login/address.ts";
import type { MonotonicClock, Time } from "../lib/clock.ts";
import { withDeadline } from "../lib/deadline.ts";
import { PartlyAwayError, UnsupportedError, reasonOf } from "../lib/errors.ts";
import type { Store } from "../stores/store.ts";

/**
 * After a failure, one question is sent in this time until the store has answered, or has taken a
 * login. Milliseconds.
 */
const BACK_OFF_MS = 1_000;

/** The most open questions; a store that is slower than that counts as away. */
const OPEN_QUESTIONS = 1_000;

export interface QuestionsOptions {
  /** The current store, which a reload changes. */
  readonly store: () => Pick<Store, "name" | "lookup">;
  readonly moment: MonotonicClock;
  /** How long to wait for an answer, in milliseconds. */
  readonly deadline: number;
  /** Called with the reason why the store did not answer. */
  readonly onFailure: (problem: string) => void;
}

/** Receives the store's answer: the last login, undefined if the address may not relay. */
export type Learn = (lastSeen: Time | undefined) => void;

/** "unsupported": this store can never be queried. */
export type StoreReaction = "answered" | "away" | "unsupported";

export class Questions {
  readonly #options: QuestionsOptions;
  /** The open questions, and whether each was answered in time. */
  readonly #open = new Map<Address, Promise<StoreReaction>>();
  #failedAt: number | undefined;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /**
   * Asks the store, unless the same question is open already. "answered" once `learn` has been
   * called (that of the first caller); "away" if the store does not answer within the deadline, or
   * has failed recently. A late answer is still learnt.
   */
  ask(address: Address, learn: Learn): Promise<StoreReaction> {
    const open = this.#open.get(address);
    if (open !== undefined) return open;
    if (!this.#mayAsk()) return Promise.resolve("away");
    const { deadline } = this.#options;
    const answer = this.#lastSeen(address)
      .then<StoreReaction, StoreReaction>(
        (lastSeen) => {
          this.#failedAt = undefined;
          learn(lastSeen);
          return "answered";
        },
        (error: unknown) => this.#why(error),
      )
      .finally(() => this.#open.delete(address));
    const asked = withDeadline<StoreReaction, StoreReaction>(answer, deadline, () => {
      this.#failed(`store: ${this.#options.store().name}: no answer within ${deadline} ms`);
      return "away";
    });
    this.#open.set(address, asked);
    return asked;
  }

  /** The store has just taken a login: if it was away, the next question is sent at once. */
  retry(): void {
    if (this.#failedAt !== undefined) this.#failedAt = -Infinity;
  }

  #mayAsk(): boolean {
    if (this.#open.size >= OPEN_QUESTIONS) return false;
    if (this.#failedAt === undefined) return true;
    const moment = this.#options.moment();
    if (moment - this.#failedAt < BACK_OFF_MS) return false;
    // this question probes for all; the next one is due later
    this.#failedAt = moment;
    return true;
  }

  #why(error: unknown): StoreReaction {
    if (error instanceof UnsupportedError) return "unsupported";
    // of several stores, those that work may be asked again
    if (error instanceof PartlyAwayError) this.#failedAt = undefined;
    else this.#failed(reasonOf(error));
    return "away";
  }

  #failed(problem: string): void {
    this.#failedAt = this.#options.moment();
    this.#options.onFailure(problem);
  }

  async #lastSeen(address: Address): Promise<Time | undefined> {
    const found = await this.#options.store().lookup(address);
    return found?.lastSeen.getTime();
  }
}
