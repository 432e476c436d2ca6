/** Whether a login has to wait while many expired rows are deleted. */
import type { Terminal } from "../src/terminal.ts";
import { warmUp } from "./processes.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import { statistics, type Statistics } from "./statistics.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { BenchStore } from "./stores.ts";

/** Milliseconds of logins without a purge, to compare with. */
const QUIET_MS = 1_500;

export interface PurgeBenchOptions {
  /** How many rows there are to delete. */
  readonly expired: number;
}

interface Purged {
  readonly driver: string;
  readonly seconds: number;
  readonly quiet: Statistics;
  readonly purging: Statistics;
  readonly complaints: readonly string[];
}

export async function purge(
  site: Site,
  { expired }: PurgeBenchOptions,
  terminal: Terminal,
): Promise<string> {
  const all: Purged[] = [];
  for (const store of site.stores) {
    terminal.progress(`purge: ${store.driver}`);
    all.push(await purgeStore(site, store, expired));
  }
  return report(all, expired);
}

async function purgeStore(site: Site, store: BenchStore, expired: number): Promise<Purged> {
  await using station = await site.station(store, "purge");
  await store.clear();
  await store.fillExpired(expired);
  await warmUp(site, station);
  await using login = new Stopwatch(site, [...station.wrapper(), "/bin/true"], 1);
  const end = performance.now() + QUIET_MS;
  const quiet = await loginsWhile(login, () => performance.now() < end);

  const start = performance.now();
  let seconds: number | undefined;
  const purged = station.popbsmtp("purge").then(() => {
    seconds = (performance.now() - start) / 1000;
  });
  const purging = await loginsWhile(login, () => seconds === undefined);
  await purged;
  return {
    driver: store.driver,
    seconds: seconds ?? NaN,
    quiet,
    purging,
    complaints: login.complaints,
  };
}

async function loginsWhile(login: Stopwatch, go: () => boolean): Promise<Statistics> {
  const times: number[] = [];
  while (go()) times.push(await login.run());
  return statistics(times);
}

function report(all: readonly Purged[], expired: number): string {
  const row = (name: string, { count, median, p95, longest }: Statistics) => [
    name,
    ...[median, p95, longest].map((time) => time.toFixed(2)),
    String(count),
  ];
  return [
    `popbsmtp purge of ${String(expired)} expired rows while a client logs in again and again (wrapper, warm, to the end of /bin/true)`,
    "",
    table(
      ["milliseconds", "median", "p95", "longest", "logins"],
      all.flatMap(({ driver, seconds, quiet, purging }) => [
        row(`${driver}, quiet`, quiet),
        row(`${driver}, purging for ${seconds.toFixed(1)} s`, purging),
      ]),
    ),
    ...all.flatMap(({ driver, complaints: [first] }) =>
      first === undefined ? [] : ["", `${driver}: ${first}`],
    ),
    "",
    goals(
      all.map(({ driver, quiet, purging }): Goal => ({
        what: `${driver}: longest login while purging, less the median without`,
        value: purging.longest - quiet.median,
        bound: "at most",
        limit: 50,
        unit: "ms",
      })),
    ),
  ].join("\n");
}
