/** How fast a drain empties a spool, for example after an outage. */
import { linkSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Terminal } from "../src/lib/terminal.ts";
import { table } from "./report.ts";
import type { Site } from "./site.ts";
import { statistics } from "./statistics.ts";

const ROUNDS = 3;

export interface DrainBenchOptions {
  /** The number of logins in the spool. */
  readonly logins: number;
}

export async function drain(
  site: Site,
  { logins }: DrainBenchOptions,
  terminal: Terminal,
): Promise<string> {
  const stock = join(site.path, "logins");
  writeLogins(stock, logins);
  const seconds = new Map(site.stores.map(({ driver }) => [driver, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const store of site.stores) {
      terminal.progress(`drain: ${store.driver}, round ${String(round + 1)} of ${String(ROUNDS)}`);
      await using station = await site.station(store, `drain${String(round)}`);
      await store.clear();
      fill(station.spool, stock);
      const start = performance.now();
      await station.popbsmtp("drain");
      seconds.get(store.driver)?.push((performance.now() - start) / 1000);
      const found = await store.logins();
      if (found !== logins || station.waiting() > 0) {
        throw new Error(`${String(logins)} logins, but ${String(found)} in ${store.driver}`);
      }
    }
  }
  const rows = [...seconds].map(([driver, times]) => {
    const { median, longest } = statistics(times);
    return [driver, median.toFixed(2), longest.toFixed(2), (logins / median).toFixed(0)];
  });
  return [
    `popbsmtp drain with ${String(logins)} logins waiting, each of another user at another address; ${String(ROUNDS)} rounds`,
    "",
    table(["", "median s", "longest s", "logins/s"], rows),
  ].join("\n");
}

/** Writes logins as the wrapper does, a microsecond apart. */
function writeLogins(directory: string, logins: number): void {
  mkdirSync(directory);
  const start = Date.now() * 1000 - logins;
  for (let n = 0; n < logins; n++) {
    const address = `2001:db8::1:${(n + 1).toString(16)}`;
    writeFileSync(
      join(directory, `${String(start + n)}.${String(n + 1)}`),
      `1\0${address}\0imap\0u${String(n)}@example.org\0\n`,
    );
  }
}

/**
 * Links instead of copies: ext4 walks over recently used inodes, and takes longer and longer to
 * create new ones.
 */
function fill(spool: string, stock: string): void {
  for (const name of readdirSync(stock)) linkSync(join(stock, name), join(spool, name));
}
