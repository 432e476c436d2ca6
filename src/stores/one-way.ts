import type { Address } from "../login/address.ts";
import { StoreAwayError, UnsupportedError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { Authorization, Count, Installed, Store } from "./store.ts";

/**
 * A daemon on another host that is told of addresses, and tells nothing: it has no users, no times, and no way to ask or to take back.
 *
 * It counts its lifetime from when it is told. So a login that has been waiting counts for longer there than it should, and one that is
 * older than the lifetime is not told at all.
 */
export abstract class OneWayStore implements Store {
  abstract readonly name: string;
  readonly #lifetime: number;

  /** @param lifetime how long after the last login mail may be relayed. Milliseconds */
  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  /** Tells of addresses, each once. Resolves once all have been taken, or passed over that the daemon has no way to take. */
  protected abstract tell(addresses: readonly Address[]): Promise<void>;

  /** Finds out, as far as that can be done without authorizing anybody, whether the daemon is there. Throws StoreAwayError. */
  protected abstract probe(): Promise<void>;

  abstract close(): Promise<void>;

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    const live = batch.filter(({ time }) => now < time + this.#lifetime);
    await this.tell([...new Set(live.map(({ address }) => address))]);
  }

  lookup(): Promise<Authorization | undefined> {
    return this.#unsupported("be asked about an address");
  }

  list(): Promise<readonly Authorization[]> {
    return this.#unsupported("list authorizations");
  }

  count(): Promise<Count> {
    return this.#unsupported("count authorizations");
  }

  revoke(): Promise<number> {
    return this.#unsupported("revoke an authorization; it ends by itself");
  }

  purge(): Promise<number> {
    return this.#unsupported("purge; the daemon there does that by itself");
  }

  async install(): Promise<Installed> {
    await this.probe();
    return { from: undefined, to: undefined };
  }

  async schemaVersion(): Promise<undefined> {
    await this.probe();
  }

  /** The error for a daemon that is away, or will not have us. */
  protected away(error: unknown): StoreAwayError {
    if (error instanceof StoreAwayError) return error;
    return new StoreAwayError(`store: ${this.name}: ${reasonOf(error)}`, { cause: error });
  }

  #unsupported(what: string): Promise<never> {
    const problem = `store: ${this.name}: there is no way to ${what}`;
    return Promise.reject(new UnsupportedError(problem));
  }
}

/** Does `work` with each of `items`, at most `limit` at a time. Rejects with the first that fails; no more are begun then. */
export async function inTurns<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  let failed = false;
  const turn = async () => {
    for (const item of rest) {
      if (failed) return;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, turn));
}
