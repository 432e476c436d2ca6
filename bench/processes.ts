/**
 * Whole processes: the time to run /bin/true through a wrapper, from the start of the wrapper to
 * the exit of /bin/true.
 */
import type { Terminal } from "../src/lib/terminal.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import type { Station } from "./station.ts";
import { statistics, type Statistics } from "./statistics.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { BenchStore } from "./stores.ts";

/**
 * A cold start takes a hundred times as long as the others, so it is measured only in one of this
 * many turns.
 */
const COLD_EVERY = 10;

export interface ProcessesOptions {
  readonly turns: number;
}

interface Contender {
  readonly name: string;
  readonly stopwatch: Stopwatch;
  readonly every: number;
  /** Prepares a run; not measured. */
  readonly prepare: () => Promise<void>;
  /** Waits until everything that a run has started is done; not measured. */
  readonly settle: () => Promise<void>;
  readonly times: number[];
}

export async function processes(
  site: Site,
  { turns }: ProcessesOptions,
  terminal: Terminal,
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const contenders = await enter(site, stack);
  const before = await recorded(site.stores);
  for (let turn = 0; turn < turns; turn++) {
    terminal.progress(`processes: turn ${String(turn + 1)} of ${String(turns)}`);
    for (const { every, prepare, stopwatch, settle, times } of contenders) {
      if (turn % every !== 0) continue;
      await prepare();
      times.push(await stopwatch.run());
      await settle();
    }
  }
  const wanted = contenders.filter(({ name }) => name.startsWith("popbsmtp"));
  const runs = wanted.reduce((sum, { times }) => sum + times.length, 0);
  const found = (await recorded(site.stores)) - before;
  if (found !== runs) {
    throw new Error(`${String(runs)} logins, but ${String(found)} in the stores`);
  }
  return report(contenders);
}

async function enter(site: Site, stack: AsyncDisposableStack): Promise<readonly Contender[]> {
  const contenders: Contender[] = [];
  const add = (
    name: string,
    wrapper: readonly string[],
    { every = 1, prepare = nothing, settle = nothing }: Partial<Contender> = {},
  ) => {
    const client = contenders.length + 1;
    const stopwatch = stack.use(new Stopwatch(site, [...wrapper, "/bin/true"], client));
    contenders.push({ name, stopwatch, every, prepare, settle, times: [] });
  };
  const { dash, bash, wikiMysql, wikiPgsql } = site.rivals;
  add("nothing: /bin/true itself", []);
  add(EMPTY_DASH, [dash]);
  add(EMPTY_BASH, [bash]);
  for (const store of site.stores) {
    const warm = stack.use(await site.station(store, "warm"));
    const cold = stack.use(await site.station(store, "cold"));
    await warmUp(site, warm);
    const drained = () => warm.drained();
    add(`popbsmtp --no-wait, ${store.driver}`, warm.wrapper("--no-wait"), { settle: drained });
    add(`popbsmtp warm, ${store.driver}`, warm.wrapper(), { settle: drained });
    add(`popbsmtp cold, ${store.driver}`, cold.wrapper(), {
      every: COLD_EVERY,
      prepare: () => cold.cool(),
      settle: () => cold.drained(),
    });
  }
  add(WIKI_MYSQL, [wikiMysql]);
  add(WIKI_PGSQL, [wikiPgsql]);
  return contenders;
}

const EMPTY_DASH = "empty dash wrapper";
const EMPTY_BASH = "empty bash wrapper";
const WIKI_MYSQL = "the wiki's MySQL script";
const WIKI_PGSQL = "the wiki's PostgreSQL script";

const nothing = () => Promise.resolve();

/** Starts a drain, and gives it enough work to reach its usual speed. */
export async function warmUp(site: Site, station: Station): Promise<void> {
  await using stopwatch = new Stopwatch(site, [...station.wrapper(), "/bin/true"], 254);
  for (let run = 0; run < 20; run++) {
    await stopwatch.run();
    await station.drained();
  }
}

async function recorded(stores: readonly BenchStore[]): Promise<number> {
  let sum = 0;
  for (const store of stores) sum += await store.logins();
  return sum;
}

function report(contenders: readonly Contender[]): string {
  const measured = contenders.map(({ name, times, stopwatch }) => ({
    name,
    complaints: stopwatch.complaints,
    ...statistics(times),
  }));
  const bash = measured.find(({ name }) => name === EMPTY_BASH)?.median ?? NaN;
  const rows = measured.map(({ name, median, p95, count, complaints }) => [
    name,
    median.toFixed(2),
    p95.toFixed(2),
    (median / bash).toFixed(2),
    String(count),
    String(complaints.length),
  ]);
  const complaints = new Set(
    measured.flatMap(({ name, complaints: [first] }) =>
      first === undefined ? [] : [`${name}: ${first}`],
    ),
  );
  return [
    "Whole processes: from the start of the wrapper to the end of /bin/true",
    "",
    table(["milliseconds", "median", "p95", "x empty bash", "runs", "complaints"], rows),
    ...(complaints.size > 0 ? ["", "The first complaint of each:", ...complaints] : []),
    "",
    goals(numbersToReach(new Map(measured.map((each) => [each.name, each])))),
  ].join("\n");
}

function numbersToReach(measured: ReadonlyMap<string, Statistics>): readonly Goal[] {
  const median = (name: string) => measured.get(name)?.median ?? NaN;
  const warm = median("popbsmtp warm, pgsql");
  return [
    {
      what: "pgsql: --no-wait / empty bash",
      value: median("popbsmtp --no-wait, pgsql") / median(EMPTY_BASH),
      bound: "at most",
      limit: 1.25,
    },
    {
      what: "pgsql: warm / empty bash",
      value: warm / median(EMPTY_BASH),
      bound: "at most",
      limit: 2.1,
    },
    {
      what: "wiki's MySQL / warm, pgsql",
      value: median(WIKI_MYSQL) / warm,
      bound: "at least",
      limit: 2.5,
    },
    {
      what: "wiki's PostgreSQL / warm, pgsql",
      value: median(WIKI_PGSQL) / warm,
      bound: "at least",
      limit: 8,
    },
  ];
}
