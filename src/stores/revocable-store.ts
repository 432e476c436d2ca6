import type { Login } from "../login/login.ts";
import { Revocations } from "../spool/revocations.ts";
import { StoreAwayError, reasonOf } from "../lib/errors.ts";
import { recorded, revokeForGood } from "./revocation.ts";
import type { Revocation, Store } from "./store.ts";
import { WrappedStore } from "./wrapped-store.ts";

/**
 * A store without room for revocations, which are kept in this host's spool instead: logins of this
 * host from before a revocation are accepted but not written.
 */
export class RevocableStore extends WrappedStore {
  readonly #revocations: Revocations;

  constructor(store: Store, spool: string) {
    super(store);
    this.#revocations = new Revocations(spool);
  }

  override async authorize(batch: readonly Login[], now: number): Promise<void> {
    using _ = this.#revocations.writing();
    await this.store.authorize(this.#revocations.remaining(batch, now), now);
  }

  override revoke(which: Revocation): Promise<number> {
    const end = () => this.store.revoke(which);
    return revokeForGood(end, async () => {
      const [address, user] = recorded(which);
      try {
        this.#revocations.add({ address, user }, Date.now());
      } catch (cause) {
        throw new StoreAwayError(`spool: the revocation cannot be recorded: ${reasonOf(cause)}`, {
          cause,
        });
      }
      await this.#revocations.othersWritten();
      return end();
    });
  }
}
