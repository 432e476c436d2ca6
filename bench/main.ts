/** `npm run bench`: prints tables of what popbsmtp and its rivals cost on this machine, measured in turns in one run. */
import { parseArgs } from "node:util";
import { processTerminal, type Terminal } from "../src/terminal.ts";
import { openCpuMeter, type CpuMeter } from "./cpu.ts";
import { drain } from "./drain.ts";
import { facts } from "./facts.ts";
import { logins } from "./logins.ts";
import { processes } from "./processes.ts";
import { purge } from "./purge.ts";
import { openSite, type Site } from "./site.ts";

const USAGE = `usage: npm run bench -- [--quick] [--expired ROWS] [processes | logins | drain | purge]...

Prints all tables, or those named. --quick measures less, and so less exactly. --expired: how many rows purge is to
delete (default 100000).`;

interface Amount {
  readonly quick: boolean;
  readonly expired: number;
}

type Table = (site: Site, amount: Amount, terminal: Terminal, cpu: CpuMeter) => Promise<string>;

const TABLES: Readonly<Record<string, Table>> = {
  processes: (site, { quick }, terminal) => processes(site, { turns: quick ? 30 : 150 }, terminal),
  logins: (site, { quick }, terminal, cpu) =>
    logins(
      site,
      quick ? { alone: 20, together: 50 } : { alone: 100, together: 300 },
      terminal,
      cpu,
    ),
  drain: (site, { quick }, terminal) => drain(site, { logins: quick ? 5_000 : 20_000 }, terminal),
  purge: (site, { expired }, terminal) => purge(site, { expired }, terminal),
};

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      expired: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const terminal = processTerminal();
  if (values.help) {
    terminal.print(USAGE);
    return;
  }
  const amount = {
    quick: values.quick,
    expired: Number(values.expired ?? (values.quick ? 20_000 : 100_000)),
  };
  const names = positionals.length > 0 ? positionals : Object.keys(TABLES);
  if (!names.every((name) => name in TABLES) || !Number.isSafeInteger(amount.expired)) {
    terminal.note(USAGE);
    process.exitCode = 64;
    return;
  }
  await run(names, amount, terminal);
}

async function run(names: readonly string[], amount: Amount, terminal: Terminal): Promise<void> {
  const start = performance.now();
  // before anything is started that it is to measure
  await using cpu = openCpuMeter();
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
