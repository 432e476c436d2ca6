/** Asks the store about addresses so that neither suffers: not the store from a flood, not who asks from a store that is away. */
import type { Address } from "../login/address.ts";
import type { MonotonicClock, Time } from "../lib/clock.ts";
import { withDeadline } from "../lib/deadline.ts";
import { PartlyAwayError, UnsupportedError, reasonOf } from "../lib/errors.ts";
import type { Store } from "../stores/store.ts";

/** After a failure the store is asked one question in so many milliseconds until it has answered one. */
const BACK_OFF_MS = 1_000;

/** So many questions may be open; a store that is slower than that is as good as away. */
const OPEN_QUESTIONS = 1_000;

export interface QuestionsOptions {
  /** As it is now: a reload changes it. */
  readonly store: () => Pick<Store, "lookup">;
  readonly moment: MonotonicClock;
  /** How long a question may take. Milliseconds. */
  readonly deadline: number;
  /** Told why the store did not answer a question. */
  readonly onFailure: (problem: string) => void;
}

/** Takes what the store knows: the last login, undefined where the address may not relay. */
export type Learn = (lastSeen: Time | undefined) => void;

/** "unsupported": the store is one that cannot be asked, now or ever. */
export type Asked = "answered" | "away" | "unsupported";

export class Questions {
  readonly #options: QuestionsOptions;
  /** What is being asked, and whether the answer came in time. */
  readonly #open = new Map<Address, Promise<Asked>>();
  #failedAt: number | undefined;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /**
   * Asks the store, unless somebody is asking the same already. "answered" once it has and `learn` was called (the first
   * asker's); "away" where it does not answer within the deadline, or has failed lately. An answer that comes later is still learnt.
   */
  ask(address: Address, learn: Learn): Promise<Asked> {
    const open = this.#open.get(address);
    if (open !== undefined) return open;
    if (!this.#mayAsk()) return Promise.resolve("away");
    const { deadline } = this.#options;
    const answer = this.#lastSeen(address)
      .then<Asked, Asked>(
        (lastSeen) => {
          this.#failedAt = undefined;
          learn(lastSeen);
          return "answered";
        },
        (error: unknown) => this.#why(error),
      )
      .finally(() => this.#open.delete(address));
    const asked = withDeadline<Asked, Asked>(answer, deadline, () => {
      this.#failed(`no answer within ${deadline} ms`);
      return "away";
    });
    this.#open.set(address, asked);
    return asked;
  }

  #mayAsk(): boolean {
    if (this.#open.size >= OPEN_QUESTIONS) return false;
    if (this.#failedAt === undefined) return true;
    const moment = this.#options.moment();
    if (moment - this.#failedAt < BACK_OFF_MS) return false;
    // this one finds out for all; the next one is due only later
    this.#failedAt = moment;
    return true;
  }

  #why(error: unknown): Asked {
    if (error instanceof UnsupportedError) return "unsupported";
    // those of several stores that are there may go on being asked
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
