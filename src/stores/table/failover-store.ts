import type { Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import { RowRefusedError } from "../../lib/errors.ts";
import { WrappedStore } from "../wrapped-store.ts";
import type { Authorization, Store } from "../store.ts";
import type { LateCommits } from "./late-commits.ts";

/**
 * A store with several hosts, of which the one that takes over may lack the newest logins: replication is asynchronous. What this
 * process has lately committed is written there again, and no lookup is answered "no" before that.
 */
export class FailoverStore extends WrappedStore {
  readonly #late: LateCommits;
  readonly #now: () => number;

  /** @param now this host's clock, in milliseconds since 1970. Default: Date.now */
  constructor(store: Store, late: LateCommits, now = Date.now) {
    super(store);
    this.#late = late;
    this.#now = now;
  }

  override async authorize(batch: readonly Login[], now: number): Promise<void> {
    const { changes } = this.#late;
    await this.store.authorize(batch, now);
    this.#late.note(batch, changes);
    // nobody waits for this; what fails is tried again by the next one
    if (this.#late.isOwed) this.#pay().catch(() => undefined);
  }

  override async lookup(address: Address): Promise<Authorization | undefined> {
    const found = await this.store.lookup(address);
    if (found !== undefined || !this.#late.isOwed) return found;
    await this.#pay();
    return this.store.lookup(address);
  }

  #pay(): Promise<void> {
    return this.#late.pay(async (batch) => {
      try {
        await this.store.authorize(batch, this.#now());
      } catch (error) {
        // another host took it: a row that this one refuses is nothing to wait for
        if (!(error instanceof RowRefusedError)) throw error;
      }
    });
  }
}
