import { opendir } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import { placeOf } from "../../config/place.ts";
import { parseEntryName } from "../../spool/entry.ts";
import { legsOf } from "../../writers/legs.ts";
import { Spool } from "../../spool/spool.ts";
import type { Time } from "../../lib/clock.ts";

/** How much waits in a spool. */
export interface SpoolDepth {
  readonly logins: number;
  /** How long ago the oldest was; 0 without any. */
  readonly oldestSeconds: number;
}

/**
 * Counts the logins in a spool's directory; undefined where it cannot be read. Reads it bit by bit, so that nobody waits for the
 * counting of a million.
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

/** What is to be said of one of several stores. */
export interface StoreReading {
  /** Where it is. */
  readonly store: string;
  readonly isUp: boolean;
  /** What waits for it alone; undefined where that cannot be read. */
  readonly spool: SpoolDepth | undefined;
}

/** Of several stores, each; nothing where there is one. */
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
