import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Login } from "../login/login.ts";
import { keep, makeSpool } from "../spool/keep.ts";
import { Spool } from "../spool/spool.ts";
import type { Store } from "../stores/store.ts";

/** What has become of a batch at one of several stores. */
export type Outcome = "pending" | "committed" | Error;

/** A batch on its way into one of several stores. */
export interface Attempt {
  readonly leg: Leg;
  /** As it is now. */
  readonly outcome: Outcome;
  /** Resolves when it is pending no more; rejects where that is not because it was committed. */
  readonly committed: Promise<void>;
}

/** One of several stores, with the spool where what it has not taken waits for its own drain (src/writers/legs.ts). */
export class Leg {
  readonly store: Store;
  readonly #path: string;

  constructor(store: Store, spool: string) {
    this.store = store;
    this.#path = spool;
  }

  /** Whether its drain, or somebody who wrote to it, has found the store away; then only its drain tries, until it is back. */
  get isAway(): boolean {
    return existsSync(join(this.#path, ".away"));
  }

  /** Why it is. */
  get away(): string | undefined {
    return new Spool(this.#path).away();
  }

  authorize(batch: readonly Login[], now: number): Attempt {
    let outcome: Outcome = "pending";
    const committed = this.store.authorize(batch, now).then(
      () => {
        outcome = "committed";
      },
      (error: unknown) => {
        outcome = error instanceof Error ? error : new Error(String(error));
        throw error;
      },
    );
    // whoever does not wait for it looks at the outcome
    committed.catch(() => undefined);
    return {
      leg: this,
      committed,
      get outcome() {
        return outcome;
      },
    };
  }

  /**
   * Puts a batch that the store has not committed into its spool.
   *
   * @param away why the store is away, where that is news
   * @throws where that cannot be done
   */
  keep(batch: readonly Login[], away: string | undefined): void {
    makeSpool(this.#path);
    // first: the drain, which takes it back, may be done with the batch before the next line is
    if (away !== undefined) new Spool(this.#path).setAway(away);
    keep(this.#path, batch);
  }
}
