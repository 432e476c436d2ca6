/**
 * Looks up an address in several stores, in order. A store that is slow or away does not delay an
 * answer that another store has.
 */
import { withDeadline } from "../lib/deadline.ts";
import { PartlyAwayError, StoreAwayError } from "../lib/errors.ts";
import type { Address } from "../login/address.ts";
import type { Authorization, Store } from "../stores/store.ts";
import { answersOf, joined } from "./answers.ts";

/** After this long without an answer the next store is asked too. Milliseconds. */
const HEAD_START_MS = 20;

/**
 * How long a store may take while a client waits: less than a lookup may take in all
 * (src/lookups/). Milliseconds.
 */
const PATIENCE_MS = 450;

/**
 * How long a store is not asked again after a failed question, while clients wait. Less than the
 * second for which src/lookups/ asks no store after all have failed. Milliseconds.
 */
const BACK_OFF_MS = 900;

export class FirstAnswer {
  readonly #stores: readonly Respondent[];

  /** @param hurry whether a client waits */
  constructor(stores: readonly Store[], hurry: boolean) {
    this.#stores = stores.map((store) => new Respondent(store, hurry));
  }

  /**
   * The authorization from the first store that has one.
   *
   * @throws PartlyAwayError if a store that might have one cannot answer; StoreAwayError if none
   *   answers
   */
  async lookup(address: Address): Promise<Authorization | undefined> {
    const { promise: found, resolve } = Promise.withResolvers<Authorization>();
    const questions: Promise<Authorization | undefined>[] = [];
    for (const [index, store] of this.#stores.entries()) {
      const question = store.lookup(address);
      questions.push(question);
      question.then(
        (answer) => answer && resolve(answer),
        () => undefined,
      );
      if (index === this.#stores.length - 1) break;
      const first = await Promise.race([
        withDeadline(
          question.catch(() => undefined),
          HEAD_START_MS,
          () => undefined,
        ),
        found,
      ]);
      if (first !== undefined) return first;
    }
    return Promise.race([found, unanimous(questions)]);
  }
}

/** The answer if no store has an authorization. */
async function unanimous(
  questions: readonly Promise<Authorization | undefined>[],
): Promise<Authorization | undefined> {
  const { answers, errors } = await answersOf(questions);
  const [only] = errors;
  if (only === undefined) return answers.find((answer) => answer !== undefined);
  if (answers.length > 0) throw new PartlyAwayError(joined(errors), { cause: only });
  throw errors.length === 1 ? only : new StoreAwayError(joined(errors), { cause: only });
}

/** One of the stores. */
class Respondent {
  readonly #store: Store;
  readonly #hurry: boolean;
  /** When the last failed question was asked, and its error. */
  #failure: { readonly asked: number; readonly error: unknown } | undefined;
  /** Questions that the store has not answered in time, but still may. */
  #overdue = 0;

  constructor(store: Store, hurry: boolean) {
    this.#store = store;
    this.#hurry = hurry;
  }

  /** Rejects if the store does not answer, or has recently failed to. */
  async lookup(address: Address): Promise<Authorization | undefined> {
    if (!this.#hurry) return this.#store.lookup(address);
    const failure = this.#failure;
    const asked = performance.now();
    if (failure !== undefined && (this.#overdue > 0 || asked - failure.asked < BACK_OFF_MS)) {
      throw failure.error;
    }
    try {
      const answer = await this.#inTime(this.#store.lookup(address));
      this.#failure = undefined;
      return answer;
    } catch (error) {
      this.#failure = { asked, error };
      throw error;
    }
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return withDeadline(answer, PATIENCE_MS, () => {
      this.#overdue += 1;
      void answer.catch(() => undefined).finally(() => (this.#overdue -= 1));
      throw new StoreAwayError(`store: ${this.#store.name}: no answer within ${PATIENCE_MS} ms`);
    });
  }
}
