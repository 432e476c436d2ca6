import type { Address } from "../login/address.ts";
import type { Login } from "../login/login.ts";
import type {
  Authorization,
  Caveat,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "./store.ts";

/** A store that does as another one does. Subclasses do some of it differently. */
export abstract class WrappedStore implements Store {
  protected readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  get name(): string {
    return this.store.name;
  }

  authorize(batch: readonly Login[], now: number): Promise<void> {
    return this.store.authorize(batch, now);
  }

  lookup(address: Address): Promise<Authorization | undefined> {
    return this.store.lookup(address);
  }

  list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]> {
    return this.store.list(options);
  }

  count(): Promise<Count> {
    return this.store.count();
  }

  revoke(which: Revocation): Promise<number> {
    return this.store.revoke(which);
  }

  purge(options?: PurgeOptions): Promise<number> {
    return this.store.purge(options);
  }

  install(): Promise<Installed> {
    return this.store.install();
  }

  schemaVersion(): Promise<number | undefined> {
    return this.store.schemaVersion();
  }

  async caveats(): Promise<readonly Caveat[]> {
    return (await this.store.caveats?.()) ?? [];
  }

  async skew(): Promise<number | undefined> {
    return this.store.skew?.();
  }

  close(): Promise<void> {
    return this.store.close();
  }
}
