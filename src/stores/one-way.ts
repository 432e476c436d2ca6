import type { Address } from "../login/address.ts";
import { StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { OneWaySink } from "./store.ts";

/**
 * A daemon on another host that accepts addresses and nothing else: it knows no users and no times,
 * and can neither be queried nor told to revoke.
 *
 * Its lifetime begins when the address arrives. So a login that has waited counts for longer than
 * it should there, and one that is older than the lifetime is not sent at all.
 */
export abstract class OneWayDaemon implements OneWaySink {
  abstract readonly name: string;
  readonly #lifetime: number;

  /** @param lifetime how long after a login its address may relay. Milliseconds */
  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  /**
   * Sends addresses, each once. Resolves once all have been accepted, or skipped because the daemon
   * cannot represent them.
   */
  protected abstract tell(addresses: readonly Address[]): Promise<void>;

  abstract probe(): Promise<void>;

  abstract close(): Promise<void>;

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    const live = batch.filter(({ time }) => now < time + this.#lifetime);
    await this.tell([...new Set(live.map(({ address }) => address))]);
  }

  /** The error for a daemon that is away or rejects this host. */
  protected away(error: unknown): StoreAwayError {
    if (error instanceof StoreAwayError) return error;
    return new StoreAwayError(`store: ${this.name}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Calls `work` with each of `items`, at most `limit` at a time. Rejects with the first failure,
 * after which no further call begins.
 */
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
