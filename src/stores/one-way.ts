import type { Address } from "../login/address.ts";
import { StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { OneWaySink } from "./store.ts";

/**
 * A daemon on another host that is told of addresses, and tells nothing: it has no users, no times, and no way to ask or to take back.
 *
 * It counts its lifetime from when it is told. So a login that has been waiting counts for longer there than it should, and one that is
 * older than the lifetime is not told at all.
 */
export abstract class OneWayDaemon implements OneWaySink {
  abstract readonly name: string;
  readonly #lifetime: number;

  /** @param lifetime how long after the last login mail may be relayed. Milliseconds */
  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  /** Tells of addresses, each once. Resolves once all have been taken, or passed over that the daemon has no way to take. */
  protected abstract tell(addresses: readonly Address[]): Promise<void>;

  abstract probe(): Promise<void>;

  abstract close(): Promise<void>;

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    const live = batch.filter(({ time }) => now < time + this.#lifetime);
    await this.tell([...new Set(live.map(({ address }) => address))]);
  }

  /** The error for a daemon that is away, or will not have us. */
  protected away(error: unknown): StoreAwayError {
    if (error instanceof StoreAwayError) return error;
    return new StoreAwayError(`store: ${this.name}: ${reasonOf(error)}`, { cause: error });
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
