import type { Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import { RowRefusedError } from "../../lib/errors.ts";
import { WrappedStore } from "../wrapped-store.ts";
import type { Authorization, Store } from "../store.ts";
import type { LateCommits } from "./late-commits.ts";

/**
 * A store with several hosts. With asynchronous replication the host that takes over may lack the
 * newest logins. The recent commits of this process are written to it again, and until then no
 * lookup is answered "no".
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
    // not awaited; the next batch retries what fails
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
        // another host accepted this row; do not wait for one that refuses it
        if (!(error instanceof RowRefusedError)) throw error;
      }
    });
  }
}
