/**
 * Real IMAP logins through Dovecot, which asks the daemon, runs a wrapper (script-login), or writes
 * to a dict itself: one at a time, and fifty.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Terminal } from "../src/lib/terminal.ts";
import { startDovecot, type Dovecot, type DovecotOptions } from "../test/support/dovecot.ts";
import { postLoginRequest } from "../test/support/serve.ts";
import { waitUntil } from "../test/support/wait-until.ts";
import type { CpuMeter } from "./cpu.ts";
import { warmUp } from "./processes.ts";
import { dictListener, lastLogin } from "./last-login.ts";
import { startLeast } from "./least.ts";
import { load, type LoadOptions } from "./load.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import type { Station } from "./station.ts";
import { statistics } from "./statistics.ts";
import type { BenchStore } from "./stores.ts";

const CLIENTS = 50;

/** The number of logins between two readings of the CPU time. */
const BLOCK = { alone: 10, together: 100 };

/**
 * Contenders that start programs are slow: with fifty logins at a time, they take part in one of
 * this many blocks.
 */
const SLOW_EVERY = 10;

/**
 * Milliseconds after a block for the processes of its logins to exit and their connections to
 * close.
 */
const SETTLE_MS = 30;

/**
 * The number of logins after which a daemon has compiled its code, as after a minute on a mail
 * server.
 */
const WARM_UP: Readonly<Record<"dict" | "post-login", LoadOptions>> = {
  dict: {
    // the first request opens the conversation
    requests: Array.from(
      { length: 2_000 },
      (_, number) =>
        `${number === 0 ? "H3\t2\t0\t\tpopbsmtp\n" : ""}B1\tu254\nS1\tshared/popbsmtp/imap/192.0.2.254/u254\t1700000000000000\nC1\n`,
    ),
    answers: 2_000,
    connections: 1,
    end: "O1\n",
  },
  "post-login": {
    requests: [postLoginRequest("192.0.2.254", "u254@example.org")],
    answers: 2_000,
    connections: 1,
  },
};

export interface LoginsOptions {
  /**
   * The number of logins one at a time, and fifty at a time; of the latter, a tenth for contenders
   * that start programs.
   */
  readonly alone: number;
  readonly together: number;
}

/** The measurements of one contender at one concurrency. */
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
  /** Takes part in one of this many blocks with fifty logins at a time. */
  readonly every: number;
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
  // the first login of a user creates the mailbox
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
        if (how === "together" && (done / block) % contender.every !== 0) continue;
        terminal.progress(
          `logins: ${String(clients)} at a time, ${String(done)} of ${String(total)}`,
        );
        await measure(contender, clients, block, contender[how], cpu);
      }
    }
  }
  return report(site, contenders, cpu);
}

async function enter(
  site: Site,
  stack: AsyncDisposableStack,
  terminal: Terminal,
): Promise<readonly Contender[]> {
  const contenders: Contender[] = [];
  const add = async (
    name: string,
    options: DovecotOptions,
    { station, every = 1 }: { readonly station?: Station; readonly every?: number } = {},
  ) => {
    terminal.progress(`logins: starting Dovecot for ${name}`);
    const dovecot = stack.use(await startDovecot(options));
    contenders.push({ name, dovecot, station, every, alone: new Tally(), together: new Tally() });
  };
  const addWrapper = (name: string, wrapper: readonly string[], station?: Station) =>
    add(
      name,
      // the vsz_limit of popbsmtp print dovecot, for all contenders
      { postLogin: { imap: wrapper.join(" ") }, postLoginUser: site.owner.name, vszLimit: "0" },
      { every: SLOW_EVERY, ...(station !== undefined && { station }) },
    );
  const addServe = async (name: string, form: "dict" | "post-login", store: BenchStore) => {
    const station = await open(store, form);
    await add(name, { config: await station.popbsmtp("print", "dovecot", form) }, { station });
    await waitUntil("the daemon to be at work", () => station.servedBy() !== undefined);
    for (const { dovecot } of contenders.slice(-1)) {
      const socket = join(
        dovecot.directory,
        "run",
        `popbsmtp-${form === "dict" ? "dict" : "imap"}`,
      );
      await load(site.load, socket, WARM_UP[form]);
    }
  };
  const open = async (store: BenchStore, name: string) =>
    stack.use(await site.station(store, `logins-${name}`));

  await add(NOTHING, {});
  await add(LAST_LOGIN, { config: lastLogin(site) });
  const listener = stack.use(await startLeast("dict", site.path, site.postgres));
  await add(BARE_LISTENER, { config: dictListener(listener.socket) });
  for (const store of site.stores) await addServe(dict(store), "dict", store);
  const service = stack.use(await startLeast("post-login", site.path, site.postgres));
  await add(LEAST_SERVICE, {
    config: `service imap {\n  executable = imap ${service.socket}\n}\n`,
  });
  for (const store of site.stores) await addServe(serve(store), "post-login", store);
  const { dash, bash, wikiMysql, wikiPgsql } = site.rivals;
  await addWrapper("empty dash wrapper", [dash]);
  await addWrapper(EMPTY_BASH, [bash]);
  const warm: Station[] = [];
  for (const store of site.stores) {
    const station = await open(store, "wrapper");
    await warmUp(site, station);
    warm.push(station);
  }
  for (const station of warm.slice(0, 1)) {
    const name = `popbsmtp --no-wait, ${station.store.driver}`;
    await addWrapper(name, station.wrapper("--no-wait"), station);
  }
  for (const station of warm) {
    await addWrapper(`popbsmtp warm, ${station.store.driver}`, station.wrapper(), station);
  }
  for (const store of site.stores.slice(0, 1)) {
    const station = await open(store, "beside");
    const daemon = stack.use(await station.serve());
    await load(site.load, daemon.socket("imap"), WARM_UP["post-login"]);
    await warmUp(site, station);
    await addWrapper(`popbsmtp beside serve, ${store.driver}`, station.wrapper(), station);
  }
  await addWrapper(WIKI_MYSQL, [wikiMysql]);
  await addWrapper(WIKI_PGSQL, [wikiPgsql]);
  return contenders;
}

const NOTHING = "nothing";
const LAST_LOGIN = "Dovecot's last_login, pgsql";
const BARE_LISTENER = "last_login and a bare listener";
const LEAST_SERVICE = "a least post-login service, pgsql";
const EMPTY_BASH = "empty bash wrapper";
const WIKI_MYSQL = "the wiki's MySQL script";
const WIKI_PGSQL = "the wiki's PostgreSQL script";

function dict({ driver }: Pick<BenchStore, "driver">): string {
  return `popbsmtp dict, ${driver}`;
}

function serve({ driver }: Pick<BenchStore, "driver">): string {
  return `popbsmtp post-login, ${driver}`;
}

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

/**
 * Logs in `total` times with clients that start again as soon as they have logged out, each time as
 * another user from another address.
 */
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

function report(site: Site, contenders: readonly Contender[], cpu: CpuMeter): string {
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
      `Dovecot logins, ${String(CLIENTS)} at a time (${String(contenders[0]?.together.times.length ?? 0)} each; ${String(contenders.at(-1)?.together.times.length ?? 0)} each with wrappers)`,
    ),
    "",
    `CPU seconds for 1000 logins, of Dovecot, scripts, drains and databases: ${cpu.method}.`,
    "",
    goals(numbersToReach(contenders)),
  ].join("\n");
}

function numbersToReach(contenders: readonly Contender[]): readonly Goal[] {
  const find = (name: string) => contenders.find((contender) => contender.name === name);
  const rate = (name: string) => find(name)?.together.loginsPerSecond ?? NaN;
  const median = (name: string) => statistics(find(name)?.alone.times ?? []).median;
  const added = (name: string) => median(name) - median(NOTHING);
  return [
    {
      what: `what ${dict({ driver: "pgsql" })} adds to a login - what ${LAST_LOGIN} adds`,
      value: added(dict({ driver: "pgsql" })) - added(LAST_LOGIN),
      bound: "at most",
      limit: 0,
      unit: "ms",
    },
    {
      what: `${dict({ driver: "pgsql" })}: logins/s, ${String(CLIENTS)} at a time / those of ${LAST_LOGIN}`,
      value: rate(dict({ driver: "pgsql" })) / rate(LAST_LOGIN),
      bound: "at least",
      limit: 1,
    },
    {
      what: `${serve({ driver: "pgsql" })} / ${LEAST_SERVICE}`,
      value: median(serve({ driver: "pgsql" })) / median(LEAST_SERVICE),
      bound: "at most",
      limit: 1.2,
    },
  ];
}
