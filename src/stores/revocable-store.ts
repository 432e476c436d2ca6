import type { Address } from "../login/address.ts";
import type { Login } from "../login/login.ts";
import { Revocations } from "../spool/revocations.ts";
import { StoreAwayError, reasonOf } from "../lib/errors.ts";
import { recorded, revokeForGood } from "./revocation.ts";
import type {
  Authorization,
  Caveat,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "./store.ts";

/**
 * A store without room for revocations, which are kept in this host's spool instead: a login of this host that was made before one
 * is taken, and not written.
 */
export class RevocableStore implements Store {
  readonly #store: Store;
  readonly #revocations: Revocations;

  constructor(store: Store, spool: string) {
    this.#store = store;
    this.#revocations = new Revocations(spool);
  }

  get name(): string {
    return this.#store.name;
  }

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    using _ = this.#revocations.writing();
    await this.#store.authorize(this.#revocations.remaining(batch, now), now);
  }

  revoke(which: Revocation): Promise<number> {
    const end = () => this.#store.revoke(which);
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

  lookup(address: Address): Promise<Authorization | undefined> {
    return this.#store.lookup(address);
  }

  list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]> {
    return this.#store.list(options);
  }

  count(): Promise<Count> {
    return this.#store.count();
  }

  purge(options?: PurgeOptions): Promise<number> {
    return this.#store.purge(options);
  }

  install(): Promise<Installed> {
    return this.#store.install();
  }

  schemaVersion(): Promise<number | undefined> {
    return this.#store.schemaVersion();
  }

  async caveats(): Promise<readonly Caveat[]> {
    return (await this.#store.caveats?.()) ?? [];
  }

  async skew(): Promise<number | undefined> {
    return this.#store.skew?.();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
