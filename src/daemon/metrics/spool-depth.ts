import { opendir } from "node:fs/promises";
import { placeOf, type Config } from "../../config/config.ts";
import { parseEntryName } from "../../spool/entry.ts";
import type { WriterGroup } from "../../writers/group.ts";
import type { Time } from "../../lib/clock.ts";

/** The logins that wait in a spool. */
export interface SpoolDepth {
  readonly logins: number;
  /** The age of the oldest; 0 if there is none. */
  readonly oldestSeconds: number;
}

/**
 * Counts the logins in a spool's directory; undefined if it cannot be read. Reads it in portions,
 * so that counting a million delays no login.
 */
export async function spoolDepth(path: string, now: Time): Promise<SpoolDepth | undefined> {
  let logins = 0;
  let oldest = now;
  try {
    for await (const { name } of await opendir(path, { bufferSize: 256 })) {
      const entry = parseEntryName(name);
      if (entry === undefined) continue;
      logins += 1;
      oldest = Math.min(oldest, entry.time);
    }
  } catch {
    return undefined;
  }
  return { logins, oldestSeconds: (now - oldest) / 1000 };
}

/** The state of a store. */
export interface StoreReading {
  /** Its location; undefined if there is no other store. */
  readonly store: string | undefined;
  /** Whether it takes logins; undefined before the first attempt. */
  readonly isUp: boolean | undefined;
  /**
   * The logins that wait for this store alone; undefined if there can be none, or its spool cannot
   * be read.
   */
  readonly spool: SpoolDepth | undefined;
}

/** The state of each store. */
export function readStores(
  { stores, spool }: Config,
  { writers }: WriterGroup,
  now: Time,
): Promise<readonly StoreReading[]> {
  const isAlone = stores.length === 1;
  return Promise.all(
    writers.map(async ({ health, spool: own }, index) => ({
      store: isAlone ? undefined : stores.map(placeOf)[index],
      isUp: health.isUp,
      spool: own === spool ? undefined : await spoolDepth(own, now),
    })),
  );
}
