/**
 * Logins and lookups at daemons while something happens to their database, and what became of them.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { DatabaseServer } from "./database-server.ts";
import type { Installation } from "./installation.ts";
import { assertRecorded, logIn, startLoad, type Load, type Made } from "./post-login-load.ts";
import { askSocket, type Serve } from "./serve.ts";
import { waitUntil } from "./wait-until.ts";

/** How long a trial is to be. */
export interface Scale {
  /** Logins a second, at all daemons together. */
  readonly perSecond: number;
  /** How many logins come before something happens, and how many after it. */
  readonly logins: number;
}

/** For `npm test`. */
export const SMALL: Scale = { perSecond: 50, logins: 20 };

/** What became of the logins and lookups of a trial. Times are milliseconds. */
export interface Outcome {
  readonly name: string;
  /** Logins that were let in. */
  readonly accepted: number;
  /** Those of them that are in the database in the end. */
  readonly committed: number;
  /** Those that waited in the spool meanwhile. */
  readonly spooled: number;
  readonly longestLogin: number;
  /**
   * From what happened until a login of after that was committed; undefined where commits never
   * stopped.
   */
  readonly outage: number | undefined;
  /** The same from when a host took writes again. */
  readonly resumed: number | undefined;
  /** Answers about addresses that may relay. */
  readonly lookups: Readonly<Record<Answer, number>>;
  readonly longestLookup: number;
  /** From when a host took writes again until the database answered a lookup. */
  readonly answered: number | undefined;
}

type Answer = "OK" | "TEMP" | "NOTFOUND";

/** Between two lookups. Milliseconds. */
const LOOKUP_MS = 50;

/**
 * Addresses that are in the database from the start, as another host's logins are. Each is asked
 * about once, if that is enough.
 */
const ELSEWHERE = 2_000;

/** A host with its daemon. There may be sixteen in a trial. */
export interface Site {
  readonly box: Installation;
  readonly serve: Serve;
}

/** Trials so far, which share neither users nor addresses. */
let trials = 0;

/** A trial under way. */
export class Trial implements AsyncDisposable {
  readonly #name: string;
  readonly #sites: readonly Site[];
  readonly #isPgsql: boolean;
  readonly #scale: Scale;
  readonly #number = trials++;
  readonly #logged: readonly number[];
  readonly #loads: readonly Load[];
  readonly #lookups = { OK: 0, TEMP: 0, NOTFOUND: 0 };
  readonly #denied: string[] = [];
  readonly #asking: Promise<void>;
  #isOver = false;
  #asked = 0;
  #longestLookup = 0;
  #happened: number | undefined;
  #healed: number | undefined;
  #outage: number | undefined;
  #resumed: number | undefined;
  #answered: number | undefined;

  /**
   * Logins and lookups begin, at all daemons in turns.
   *
   * @param server where the daemons write to at first
   * @param nodes other servers that daemons may ask, which are told a moment later
   */
  static async start(
    name: string,
    sites: readonly Site[],
    server: DatabaseServer,
    scale: Scale,
    nodes: readonly DatabaseServer[] = [],
  ): Promise<Trial> {
    const isPgsql = name.startsWith("PostgreSQL");
    const rows = `SELECT 1 FROM popbsmtp WHERE address LIKE '198.${String(18 + trials)}.%'`;
    await server.query(elsewhere(trials, isPgsql));
    await waitUntil("every node to have the other hosts' logins", async () => {
      const found = await Promise.all(nodes.map(async (node) => (await node.query(rows)).length));
      return found.every((length) => length === ELSEWHERE);
    });
    return new Trial(name, sites, scale, isPgsql);
  }

  private constructor(name: string, sites: readonly Site[], scale: Scale, isPgsql: boolean) {
    this.#name = name;
    this.#sites = sites;
    this.#scale = scale;
    this.#isPgsql = isPgsql;
    this.#logged = sites.map(({ serve }) => serve.log().length);
    const every = (1000 * sites.length) / scale.perSecond;
    this.#loads = sites.map(({ serve }, daemon) =>
      startLoad(serve.imap, {
        every,
        name: `user${String(this.#number)}.${String(daemon)}.`,
        address: (number) => `10.${String(16 * this.#number + daemon)}.${octets(number)}`,
      }),
    );
    this.#asking = this.#askAll();
  }

  /** Logins let in so far. */
  get made(): readonly Made[] {
    return this.#loads.flatMap(({ made }) => made);
  }

  /** So many logins as the scale says come, and are let in. */
  async logins(): Promise<void> {
    const enough = this.made.length + this.#scale.logins;
    await waitUntil("logins to be let in", () => this.made.length >= enough, { timeout: 600_000 });
  }

  /** Something happens now. */
  happens(): void {
    this.#happened = performance.now();
  }

  /**
   * Now a host takes writes: resolves when a login of after now is in its table, and a lookup was
   * answered by it.
   */
  async resumes(server: DatabaseServer): Promise<void> {
    const now = Date.now();
    this.#healed = performance.now();
    this.#answered = undefined;
    await waitUntil(
      "logins to be committed again",
      async () => (await newest(server, this.#isPgsql)) > now,
      { timeout: 120_000, interval: 20 },
    );
    const end = performance.now();
    this.#resumed = Math.round(end - this.#healed);
    this.#outage = Math.round(end - (this.#happened ?? this.#healed));
    await waitUntil("lookups to be answered again", () => this.#answered !== undefined);
  }

  /**
   * No login comes any more. Resolves when nothing waits in the spool; throws where a login was
   * refused, denied or lost.
   */
  async end(): Promise<Outcome> {
    this.#isOver = true;
    await Promise.all(this.#loads.map((load) => load.stop()));
    await this.#asking;
    await waitUntil(
      "the spools to be drained",
      () => this.#sites.every(({ box }) => box.waiting().length === 0),
      { timeout: 120_000 },
    );
    assert.deepEqual(
      this.#loads.flatMap(({ failed }) => failed),
      [],
    );
    assert.deepEqual(this.#denied, []);
    const { made } = this;
    const rows = (await this.#sites[0]?.box.list()) ?? [];
    assertRecorded(made, rows);
    const users = new Set(rows.map(({ user }) => user));
    const log = this.#sites
      .map(({ serve }, at) => serve.log().slice(this.#logged[at] ?? 0))
      .join("");
    return {
      name: this.#name,
      accepted: made.length,
      committed: made.filter(({ user }) => users.has(user)).length,
      spooled: log.split(" outcome=spooled").length - 1,
      longestLogin: Math.max(...made.map(({ from, to }) => to - from)),
      outage: this.#outage,
      resumed: this.#resumed,
      lookups: this.#lookups,
      longestLookup: Math.round(this.#longestLookup),
      answered: this.#answered,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loads.map((load) => load.stop()));
    await this.#asking;
  }

  /**
   * Asks each daemon, again and again, about a login that it has let in, and about one of another
   * host's.
   */
  async #askAll(): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      const daemon = this.#sites[round % this.#sites.length]?.serve;
      const own = this.#loads[round % this.#loads.length]?.made ?? [];
      assert.ok(daemon !== undefined);
      const some = own[Math.floor(Math.random() * own.length)];
      if (some !== undefined) await this.#ask(daemon, some.address);
      const other = `198.${String(18 + this.#number)}.${octets(this.#asked++ % ELSEWHERE)}`;
      if ((await this.#ask(daemon, other)) === "OK" && this.#healed !== undefined) {
        this.#answered ??= Math.round(performance.now() - this.#healed);
      }
      await sleep(LOOKUP_MS);
    }
  }

  async #ask(serve: Serve, address: string): Promise<Answer> {
    const start = performance.now();
    const reply = await ask(serve, address);
    this.#longestLookup = Math.max(this.#longestLookup, performance.now() - start);
    const answer = /^(?:OK|TEMP|NOTFOUND)/.exec(reply)?.[0];
    assert.ok(answer === "OK" || answer === "TEMP" || answer === "NOTFOUND", reply);
    this.#lookups[answer] += 1;
    if (answer === "NOTFOUND") this.#denied.push(`${address} at ${String(Math.round(start))} ms`);
    return answer;
  }
}

/** Writes the names of the hosts into the configuration, and the port they all have. */
export function useHosts({ config }: Installation, hosts: readonly string[], port?: number): void {
  const text = readFileSync(config, "utf8").replace(
    /^host = .*/m,
    `host = ${JSON.stringify(hosts)}`,
  );
  writeFileSync(
    config,
    port === undefined ? text : text.replace(/^port = .*/m, `port = ${String(port)}`),
  );
}

/** How long after a login at one daemon another one lets it relay. Milliseconds. */
export async function knownElsewhere(here: Site, there: Site, user: string): Promise<number> {
  const address = `10.255.${octets(Number(user.replaceAll(/\D/g, "")))}`;
  const { to } = await logIn(here.serve.imap, address, user);
  await waitUntil(`${user} to be known elsewhere`, async () =>
    (await ask(there.serve, address)).startsWith("OK"),
  );
  return Date.now() - to;
}

/** The socketmap's reply. */
async function ask({ socketmap }: Serve, address: string): Promise<string> {
  const request = `relay ${address}`;
  const reply = await askSocket(socketmap, `${String(request.length)}:${request},`);
  return reply.toString().replace(/^\d+:/, "");
}

/** A table for people. */
export function trialTable(outcomes: readonly Outcome[]): string {
  const head = [
    "trial",
    "let in",
    "committed",
    "lost",
    "spooled",
    "longest login",
    "outage",
  ].concat(["commits resume", "lookups OK/TEMP/no", "longest lookup", "lookups resume"]);
  const ms = (value: number | undefined) => (value === undefined ? "-" : `${String(value)} ms`);
  const judged = (value: number | undefined, bound: number) =>
    value === undefined ? "-" : `${ms(value)}: ${value <= bound ? "reached" : "NOT reached"}`;
  const rows = outcomes.map((each) => [
    each.name,
    String(each.accepted),
    String(each.committed),
    String(each.accepted - each.committed),
    String(each.spooled),
    ms(each.longestLogin),
    ms(each.outage),
    judged(each.resumed, 5_000),
    Object.values(each.lookups).join("/"),
    ms(each.longestLookup),
    judged(each.answered, 2_000),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The last two octets of the address of this number. */
function octets(number: number): string {
  return `${String(Math.floor(number / 250) % 250)}.${String(1 + (number % 250))}`;
}

/** SQL that makes rows of another host's logins. */
function elsewhere(trial: number, isPgsql: boolean): string {
  const [now, numbers, div] = isPgsql
    ? ["now()", `generate_series(0, ${String(ELSEWHERE - 1)}) AS n(seq)`, "/"]
    : ["UTC_TIMESTAMP(6)", `seq_0_to_${String(ELSEWHERE - 1)}`, "DIV"];
  return `INSERT INTO popbsmtp SELECT concat('198.${String(18 + trial)}.', seq ${div} 250, '.', 1 + seq % 250), 'elsewhere', 'imap', ${now}, ${now}, 1 FROM ${numbers}`;
}

/** When the latest login in a server's table was, in milliseconds since 1970. */
async function newest(server: DatabaseServer, isPgsql: boolean): Promise<number> {
  const time = isPgsql
    ? "(extract(epoch FROM max(last_seen)) * 1000)::float8"
    : "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', max(last_seen)) / 1000";
  const [row] = await server.query(
    `SELECT ${time} AS newest FROM popbsmtp WHERE address LIKE '10.%'`,
  );
  return Number(row?.["newest"]);
}
