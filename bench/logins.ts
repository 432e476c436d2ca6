/** Real IMAP logins through Dovecot, whose script-login runs a wrapper: one at a time, and fifty. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Terminal } from "../src/terminal.ts";
import { startDovecot, type Dovecot } from "../test/support/dovecot.ts";
import type { CpuMeter } from "./cpu.ts";
import { warmUp } from "./processes.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import type { Station } from "./station.ts";
import { statistics } from "./statistics.ts";

const CLIENTS = 50;

/** Logins between two looks at the CPU time. */
const BLOCK = { alone: 10, together: 100 };

/** Milliseconds after a block, for what its logins leave to be done: processes to end, connections to be closed. */
const SETTLE_MS = 30;

export interface LoginsOptions {
  /** How many logins one at a time, and how many fifty at a time. */
  readonly alone: number;
  readonly together: number;
}

/** What was measured of one contender's logins, at one number at a time. */
class Tally {
  readonly times: number[] = [];
  wallMs = 0;
  cpuSeconds = 0;

  get loginsPerSecond(): number {
    return (this.times.length / this.wallMs) * 1000;
  }

  get cpuPerThousand(): number {
    return (this.cpuSeconds / this.times.length) * 1000;
  }
}

interface Contender {
  readonly name: string;
  readonly dovecot: Dovecot;
  readonly station: Station | undefined;
  readonly alone: Tally;
  readonly together: Tally;
}

export async function logins(
  site: Site,
  { alone, together }: LoginsOptions,
  terminal: Terminal,
  cpu: CpuMeter,
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const contenders = await enter(site, stack, terminal);
  // mailboxes are made at the first login
  for (const { dovecot, name } of contenders) {
    terminal.progress(`logins: the first of each user, ${name}`);
    await storm(dovecot, CLIENTS, CLIENTS, new Tally());
  }
  const runs = [
    { how: "alone", clients: 1, total: alone, block: Math.min(alone, BLOCK.alone) },
    {
      how: "together",
      clients: CLIENTS,
      total: together,
      block: Math.min(together, BLOCK.together),
    },
  ] as const;
  for (const { how, clients, total, block } of runs) {
    for (let done = 0; done < total; done += block) {
      for (const contender of contenders) {
        terminal.progress(
          `logins: ${String(clients)} at a time, ${String(done)} of ${String(total)}`,
        );
        await measure(contender, clients, block, contender[how], cpu);
      }
    }
  }
  return report(contenders, cpu);
}

async function enter(
  site: Site,
  stack: AsyncDisposableStack,
  terminal: Terminal,
): Promise<readonly Contender[]> {
  const contenders: Contender[] = [];
  const add = async (name: string, wrapper: readonly string[], station?: Station) => {
    terminal.progress(`logins: starting Dovecot for ${name}`);
    const dovecot = await startDovecot({
      ...(wrapper.length > 0 && { postLogin: { imap: wrapper.join(" ") } }),
      postLoginUser: site.owner.name,
      // as popbsmtp print dovecot says, and the same for all
      vszLimit: "0",
    });
    stack.use(dovecot);
    contenders.push({ name, dovecot, station, alone: new Tally(), together: new Tally() });
  };
  const { dash, bash, wikiMysql, wikiPgsql } = site.rivals;
  await add(NOTHING, []);
  await add("empty dash wrapper", [dash]);
  await add(EMPTY_BASH, [bash]);
  const stations: Station[] = [];
  for (const store of site.stores) {
    const station = stack.use(await site.station(store, "logins"));
    await warmUp(site, station);
    stations.push(station);
  }
  for (const station of stations.slice(0, 1)) {
    await add(`popbsmtp --no-wait, ${station.store.driver}`, station.wrapper("--no-wait"), station);
  }
  for (const station of stations) {
    await add(`popbsmtp warm, ${station.store.driver}`, station.wrapper(), station);
  }
  await add(WIKI_MYSQL, [wikiMysql]);
  await add(WIKI_PGSQL, [wikiPgsql]);
  return contenders;
}

const NOTHING = "nothing";
const EMPTY_BASH = "empty bash wrapper";
const WIKI_MYSQL = "the wiki's MySQL script";
const WIKI_PGSQL = "the wiki's PostgreSQL script";

async function measure(
  { dovecot, station }: Contender,
  clients: number,
  total: number,
  tally: Tally,
  cpu: CpuMeter,
): Promise<void> {
  const before = cpu.read();
  await storm(dovecot, clients, total, tally);
  await station?.drained();
  await sleep(SETTLE_MS);
  tally.cpuSeconds += cpu.read() - before;
}

/** So many logins by clients that start over as soon as they are logged out; each is another user, at another address. */
async function storm(
  dovecot: Dovecot,
  clients: number,
  total: number,
  tally: Tally,
): Promise<void> {
  let left = total;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (left-- > 0) {
        using imap = await dovecot.imap({ from: `127.0.1.${String(client + 1)}` });
        tally.times.push(await imap.login(`u${String(client)}@example.org`, dovecot.password));
        await imap.logout();
      }
    }),
  );
  tally.wallMs += performance.now() - start;
}

function report(contenders: readonly Contender[], cpu: CpuMeter): string {
  const part = (how: "alone" | "together", title: string) => {
    const nothing = statistics(contenders[0]?.[how].times ?? []).median;
    const rows = contenders.map(({ name, [how]: tally }) => {
      const { median, p95 } = statistics(tally.times);
      return [
        name,
        median.toFixed(2),
        (median - nothing).toFixed(2),
        p95.toFixed(2),
        tally.loginsPerSecond.toFixed(0),
        tally.cpuPerThousand.toFixed(2),
      ];
    });
    const header = [
      "ms from the IMAP command to its OK",
      "median",
      "added",
      "p95",
      "logins/s",
      "CPU s/1000",
    ];
    return [title, "", table(header, rows)];
  };
  return [
    ...part(
      "alone",
      `Dovecot logins, one at a time (${String(contenders[0]?.alone.times.length ?? 0)} each)`,
    ),
    "",
    ...part(
      "together",
      `Dovecot logins, ${String(CLIENTS)} at a time (${String(contenders[0]?.together.times.length ?? 0)} each)`,
    ),
    "",
    `CPU seconds for 1000 logins, of Dovecot, scripts, drains and databases: ${cpu.method}.`,
    "",
    goals(numbersToReach(new Map(contenders.map(({ name, together }) => [name, together])))),
  ].join("\n");
}

function numbersToReach(storms: ReadonlyMap<string, Tally>): readonly Goal[] {
  const rate = (name: string) => storms.get(name)?.loginsPerSecond ?? NaN;
  return [
    EMPTY_BASH,
    ...["pgsql", "mysql", "sqlite"].map((driver) => `popbsmtp warm, ${driver}`),
  ].map((name): Goal => ({
    what: `${name}: logins/s, ${String(CLIENTS)} at a time / those with nothing attached`,
    value: rate(name) / rate(NOTHING),
    bound: "at least",
    limit: 0.9,
  }));
}
