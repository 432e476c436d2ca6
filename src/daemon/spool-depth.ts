import { opendir } from "node:fs/promises";
import { parseEntryName } from "../spool/entry.ts";

/** How much waits in a spool. */
export interface SpoolDepth {
  readonly logins: number;
  /** How long ago the oldest was; 0 without any. */
  readonly oldestSeconds: number;
}

/**
 * Counts the logins in a spool's directory; undefined where it cannot be read. Reads it bit by bit, so that nobody waits for the
 * counting of a million.
 *
 * @param now this host's clock, in milliseconds since 1970
 */
export async function spoolDepth(path: string, now: number): Promise<SpoolDepth | undefined> {
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
