import { opendir } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import { placeOf } from "../../config/place.ts";
import { parseEntryName } from "../../spool/entry.ts";
import { legsOf } from "../../writers/legs.ts";
import { Spool } from "../../spool/spool.ts";
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

/** The state of one of several stores. */
export interface StoreReading {
  /** Its location. */
  readonly store: string;
  readonly isUp: boolean;
  /** The logins that wait for this store; undefined if its spool cannot be read. */
  readonly spool: SpoolDepth | undefined;
}

/** The state of each of several stores; empty for a single one. */
export function storeReadings(config: Config, now: Time): Promise<readonly StoreReading[]> {
  return Promise.all(
    legsOf(config).flatMap(({ spool, stores }) =>
      stores.map(async (store) => ({
        store: placeOf(store),
        isUp: new Spool(spool).away() === undefined,
        spool: await spoolDepth(spool, now),
      })),
    ),
  );
}
