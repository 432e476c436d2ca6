/** Looks an address up in several stores, in their order, so that none that is slow or away holds up an answer which another has. */
import type { Address } from "../login/address.ts";
import { withDeadline } from "../lib/deadline.ts";
import { PartlyAwayError, StoreAwayError, UnsupportedError } from "../lib/errors.ts";
import { answersOf, joined } from "./several-answers.ts";
import type { Authorization, Store } from "../stores/store.ts";

/** How long a store has before the next one is asked as well. Milliseconds. */
const HEAD_START_MS = 20;

/** Where somebody waits: how long a store may take in all, and for how long it is not asked again after it has failed. Milliseconds. */
const PATIENCE_MS = 300;
const BACK_OFF_MS = 1_000;

export class SeveralLookup {
  readonly #stores: readonly Asked[];

  /** @param hurry whether somebody waits */
  constructor(stores: readonly Store[], hurry: boolean) {
    this.#stores = stores.map((store) => new Asked(store, hurry));
  }

  /**
   * The authorization that the first store which has one names.
   *
   * @throws PartlyAwayError where one that might have it cannot answer, StoreAwayError where none does, UnsupportedError where
   *   none can ever
   */
  async lookup(address: Address): Promise<Authorization | undefined> {
    const { promise: found, resolve } = Promise.withResolvers<Authorization>();
    const questions: Promise<Authorization | undefined>[] = [];
    for (const store of this.#stores) {
      const question = store.lookup(address);
      questions.push(question);
      question.then(
        (answer) => answer && resolve(answer),
        () => undefined,
      );
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

/** What all of them have to say, none having said yes. */
async function unanimous(
  questions: readonly Promise<Authorization | undefined>[],
): Promise<Authorization | undefined> {
  const { answers, errors } = await answersOf(questions);
  const troubles = errors.filter((error) => !(error instanceof UnsupportedError));
  if (troubles.length > 0) {
    const message = joined(troubles);
    throw answers.length > 0 ? new PartlyAwayError(message) : new StoreAwayError(message);
  }
  if (answers.length === 0) throw errors[0];
  return answers.find((answer) => answer !== undefined);
}

/** One of the stores. */
class Asked {
  readonly #store: Store;
  readonly #hurry: boolean;
  /** When it failed last, and with what. */
  #failure: { readonly at: number; readonly error: Error } | undefined;
  /** Questions that it has not answered in time, and may still. */
  #overdue = 0;

  constructor(store: Store, hurry: boolean) {
    this.#store = store;
    this.#hurry = hurry;
  }

  /** Rejects where the store does not answer, or has not lately. */
  async lookup(address: Address): Promise<Authorization | undefined> {
    if (!this.#hurry) return this.#store.lookup(address);
    const failure = this.#failure;
    if (
      failure !== undefined &&
      (this.#overdue > 0 || performance.now() - failure.at < BACK_OFF_MS)
    ) {
      throw failure.error;
    }
    try {
      const answer = await this.#inTime(this.#store.lookup(address));
      this.#failure = undefined;
      return answer;
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause));
      this.#failure = { at: performance.now(), error };
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
