/** Asks the store about addresses so that neither suffers: not the store from a flood, not who asks from a store that is away. */
import type { Address } from "../address.ts";
import type { Store } from "../stores/store.ts";

/** After a failure the store is asked one question in so many milliseconds until it has answered one. */
const BACK_OFF_MS = 1_000;

/** So many questions may be open; a store that is slower than that is as good as away. */
const OPEN_QUESTIONS = 1_000;

/** How long the difference between two clocks is taken to stay the same. Milliseconds. */
const OFFSET_MS = 60_000;

/** Clocks that differ by no more agree: Store.authorize then writes down this host's times as they are. Milliseconds. */
export const AGREE_MS = 2_000;

export interface QuestionsOptions {
  /** As it is now: a reload changes it. */
  readonly store: () => Pick<Store, "lookup" | "clockOffset">;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** How long a question may take. Milliseconds. */
  readonly deadline: number;
  /** Told after each question why the store did not answer it, or undefined where it did. */
  readonly onStore: (problem: string | undefined) => void;
}

/** Takes what the store knows: the last login by this host's clock, undefined where the address may not relay. */
export type Learn = (lastSeen: number | undefined) => void;

export class Questions {
  readonly #options: QuestionsOptions;
  /** What is being asked, and whether the answer came in time. */
  readonly #open = new Map<Address, Promise<boolean>>();
  #failedAt: number | undefined;
  #clock: { readonly store: unknown; readonly at: number; readonly offset: number } | undefined;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /**
   * Asks the store, unless somebody is asking the same already. True once it has answered and `learn` was called (the first
   * asker's); false where it does not answer within the deadline, or has failed lately. An answer that comes later is still learnt.
   */
  ask(address: Address, learn: Learn): Promise<boolean> {
    const open = this.#open.get(address);
    if (open !== undefined) return open;
    if (!this.#mayAsk()) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#open.set(address, promise);
    const timer = setTimeout(() => {
      this.#failed(`no answer within ${this.#options.deadline} ms`);
      resolve(false);
    }, this.#options.deadline);
    void this.#lastSeen(address)
      .then(
        (lastSeen) => {
          this.#failedAt = undefined;
          learn(lastSeen);
          this.#options.onStore(undefined);
          resolve(true);
        },
        (error: unknown) => {
          this.#failed(error instanceof Error ? error.message : String(error));
          resolve(false);
        },
      )
      .finally(() => {
        clearTimeout(timer);
        this.#open.delete(address);
      });
    return promise;
  }

  #mayAsk(): boolean {
    if (this.#open.size >= OPEN_QUESTIONS) return false;
    if (this.#failedAt === undefined) return true;
    const now = this.#options.now();
    if (isWithin(BACK_OFF_MS, this.#failedAt, now)) return false;
    // this one finds out for all; the next one is due only later
    this.#failedAt = now;
    return true;
  }

  #failed(problem: string): void {
    this.#failedAt = this.#options.now();
    this.#options.onStore(problem);
  }

  async #lastSeen(address: Address): Promise<number | undefined> {
    const store = this.#options.store();
    const found = await store.lookup(address);
    return found && found.lastSeen.getTime() - (await this.#offset(store));
  }

  /** The store's clock minus this host's; none where they agree. */
  async #offset(store: Pick<Store, "clockOffset">): Promise<number> {
    const at = this.#options.now();
    if (this.#clock?.store !== store || !isWithin(OFFSET_MS, this.#clock.at, at)) {
      const offset = await store.clockOffset();
      this.#clock = { store, at, offset: Math.abs(offset) > AGREE_MS ? offset : 0 };
    }
    return this.#clock.offset;
  }
}

/** Whether less than `ms` have gone by since. What lies in the future has not been: somebody has set the clock back. */
export function isWithin(ms: number, since: number, now: number): boolean {
  return since <= now && now - since < ms;
}
