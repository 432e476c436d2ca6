/** Whether logins wait while many expired rows are deleted. */
import type { Terminal } from "../src/lib/terminal.ts";
import { warmUp } from "./processes.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import { statistics, type Statistics } from "./statistics.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { BenchStore } from "./stores.ts";

/** Milliseconds of logins without a purge, for comparison. */
const QUIET_MS = 1_500;

/** The number of logins before those that are measured: the daemon's code is compiled by then. */
const WARM = 200;

export interface PurgeBenchOptions {
  /** The number of rows to delete. */
  readonly expired: number;
}

interface Purged {
  /** The store, and how logins are reported. */
  readonly name: string;
  readonly seconds: number;
  readonly quiet: Statistics;
  readonly purging: Statistics;
  /** The first error of a login. */
  readonly complaint?: string | undefined;
}

export async function purge(
  site: Site,
  { expired }: PurgeBenchOptions,
  terminal: Terminal,
): Promise<string> {
  const all: Purged[] = [];
  for (const store of site.stores) {
    terminal.progress(`purge: ${store.driver}`);
    all.push(...(await purgeStore(site, store, expired)));
  }
  return report(all, expired);
}

async function purgeStore(site: Site, store: BenchStore, expired: number): Promise<Purged[]> {
  await using station = await site.station(store, "purge");
  const measure = async (how: string, login: () => Promise<number>): Promise<Purged> => {
    await store.clear();
    await store.fillExpired(expired);
    const end = performance.now() + QUIET_MS;
    const quiet = await loginsWhile(login, () => performance.now() < end);
    const start = performance.now();
    let seconds: number | undefined;
    const purged = station.popbsmtp("purge").then(() => {
      seconds = (performance.now() - start) / 1000;
    });
    const purging = await loginsWhile(login, () => seconds === undefined);
    await purged;
    return { name: `${store.driver}, ${how}`, seconds: seconds ?? NaN, quiet, purging };
  };
  await warmUp(site, station);
  await using wrapper = new Stopwatch(site, [...station.wrapper(), "/bin/true"], 1);
  const throughWrapper = await measure("wrapper", () => wrapper.run());
  await station.cool();
  await using daemon = await station.serve();
  const login = () => daemon.login("192.0.2.1", "u1@example.org");
  for (let run = 0; run < WARM; run++) await login();
  const throughDaemon = await measure("daemon", login);
  return [{ ...throughWrapper, complaint: wrapper.complaints[0] }, throughDaemon];
}

async function loginsWhile(login: () => Promise<number>, go: () => boolean): Promise<Statistics> {
  const times: number[] = [];
  while (go()) times.push(await login());
  return statistics(times);
}

function report(all: readonly Purged[], expired: number): string {
  const row = (name: string, { count, median, p95, longest }: Statistics) => [
    name,
    ...[median, p95, longest].map((time) => time.toFixed(2)),
    String(count),
  ];
  return [
    `popbsmtp purge of ${String(expired)} expired rows while a client logs in again and again: through the wrapper, warm, to the end of /bin/true, or at the daemon's socket`,
    "",
    table(
      ["milliseconds", "median", "p95", "longest", "logins"],
      all.flatMap(({ name, seconds, quiet, purging }) => [
        row(`${name}, quiet`, quiet),
        row(`${name}, purging for ${seconds.toFixed(1)} s`, purging),
      ]),
    ),
    ...all.flatMap(({ name, complaint }) =>
      complaint === undefined ? [] : ["", `${name}: ${complaint}`],
    ),
    "",
    goals(
      all.map(({ name, quiet, purging }): Goal => ({
        what: `${name}: longest login while purging, less the median without`,
        value: purging.longest - quiet.median,
        bound: "at most",
        limit: 50,
        unit: "ms",
      })),
    ),
  ].join("\n");
}
