/**
 * `npm run bench`: prints tables of the costs of popbsmtp and its rivals on this machine, measured
 * in turns in one run.
 */
import { parseArgs } from "node:util";
import { processTerminal, type Terminal } from "../src/lib/terminal.ts";
import { openCpuMeter, type CpuMeter } from "./cpu.ts";
import { drain } from "./drain.ts";
import { facts } from "./facts.ts";
import { logins } from "./logins.ts";
import { memory } from "./memory.ts";
import { policy } from "./policy.ts";
import { processes } from "./processes.ts";
import { purge } from "./purge.ts";
import { openSite, type Site } from "./site.ts";
import { watch } from "./watch.ts";

const USAGE = `usage: npm run bench -- [--quick] [--expired ROWS] [TABLE]...

Prints all tables, or those named: processes, logins, policy, memory, drain, watch, purge. --quick measures less, and so less
exactly. --expired: how many rows purge is to delete (default 200000).`;

interface Amount {
  readonly quick: boolean;
  readonly expired: number;
}

type Table = (site: Site, amount: Amount, terminal: Terminal, cpu: CpuMeter) => Promise<string>;

const TABLES: Readonly<Record<string, Table>> = {
  processes: (site, { quick }, terminal) => processes(site, { turns: quick ? 30 : 200 }, terminal),
  logins: (site, { quick }, terminal, cpu) =>
    logins(
      site,
      quick ? { alone: 20, together: 100 } : { alone: 200, together: 2_000 },
      terminal,
      cpu,
    ),
  policy: (site, { quick }, terminal, cpu) =>
    policy(
      site,
      quick ? { answers: 20_000, sessions: 50 } : { answers: 100_000, sessions: 300 },
      terminal,
      cpu,
    ),
  memory: (site, { quick }, terminal) =>
    memory(site, { logins: quick ? 100_000 : 1_000_000 }, terminal),
  drain: (site, { quick }, terminal) => drain(site, { logins: quick ? 5_000 : 20_000 }, terminal),
  watch: (site, { quick }, terminal) => watch(site, { megabytes: quick ? 10 : 100 }, terminal),
  purge: (site, { expired }, terminal) => purge(site, { expired }, terminal),
};

async function main(): Promise<void> {
  const terminal = processTerminal();
  const wanted = parse();
  if (wanted === undefined) {
    terminal.note(USAGE);
    process.exitCode = 64;
  } else if (wanted === "help") {
    terminal.print(USAGE);
  } else {
    await run(wanted.names, wanted.amount, terminal);
  }
}

/** The parsed command line; undefined if it is wrong. */
function parse():
  | { readonly names: readonly string[]; readonly amount: Amount }
  | "help"
  | undefined {
  const { values, positionals } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      expired: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
    strict: false,
  });
  const { quick, expired, help, ...unknown } = values;
  if (help === true) return "help";
  const amount = {
    quick: quick === true,
    expired: Number(expired ?? (quick === true ? 20_000 : 200_000)),
  };
  const names = positionals.length > 0 ? positionals : Object.keys(TABLES);
  const isRight =
    Object.keys(unknown).length === 0 &&
    names.every((name) => Object.hasOwn(TABLES, name)) &&
    Number.isSafeInteger(amount.expired) &&
    amount.expired > 0;
  return isRight ? { names, amount } : undefined;
}

async function run(names: readonly string[], amount: Amount, terminal: Terminal): Promise<void> {
  const start = performance.now();
  // before starting the processes to measure
  using cpu = openCpuMeter();
  terminal.progress("starting the servers");
  await using site = await openSite();
  terminal.progress("");
  terminal.print(await facts(site));
  const took: string[] = [];
  for (const name of names) {
    const tableStart = performance.now();
    const text = await TABLES[name]?.(site, amount, terminal, cpu);
    terminal.progress("");
    terminal.print(`\n${text ?? ""}`);
    took.push(`${name} ${seconds(tableStart)}`);
  }
  terminal.print(`\nSeconds: ${took.join(", ")}; with starting the servers ${seconds(start)}.`);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(0);
}

await main();
