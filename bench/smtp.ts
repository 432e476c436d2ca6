/** Whole SMTP sessions up to RCPT, with Postfix asking the daemon, or the database itself. */
import { setTimeout as sleep } from "node:timers/promises";
import { startPostfix, type Postfix, type PostfixOptions } from "../test/support/postfix.ts";
import type { Terminal } from "../src/lib/terminal.ts";
import type { CpuMeter } from "./cpu.ts";
import { table } from "./report.ts";
import type { Site } from "./site.ts";
import type { Station } from "./station.ts";
import { statistics } from "./statistics.ts";

const CLIENTS = 10;

/** The number of sessions in a contender's turn. */
const BLOCK = 50;

/** Milliseconds after a block for its sessions to end. */
const SETTLE_MS = 30;

export interface SmtpOptions {
  readonly sessions: number;
}

interface Contender {
  readonly name: string;
  readonly postfix: Postfix;
  readonly times: number[];
  wallMs: number;
  cpuSeconds: number;
}

export async function smtp(
  site: Site,
  { sessions }: SmtpOptions,
  terminal: Terminal,
  cpu: CpuMeter,
): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const [store] = site.stores;
  if (store === undefined) throw new Error("no store");
  const station = stack.use(await site.station(store, "smtp"));
  const daemon = stack.use(await station.serve());
  for (let client = 0; client < CLIENTS; client++) {
    await daemon.login(addressOf(client), `u${String(client)}@example.org`);
  }
  const contenders: Contender[] = [];
  const add = async (name: string, options: PostfixOptions) => {
    const postfix = stack.use(await startPostfix(options));
    const contender = { name, postfix, times: [], wallMs: 0, cpuSeconds: 0 };
    // starts its smtpds, and connects them to the daemon or the database
    await measure({ ...contender, times: [] }, CLIENTS, cpu);
    contenders.push(contender);
  };
  await add("nothing: permit_mynetworks", {
    mainCf:
      "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination",
  });
  await add("policy service", { mainCf: await station.popbsmtp("print", "postfix", "policy") });
  await add("socketmap", { mainCf: await station.popbsmtp("print", "postfix", "socketmap") });
  await add(`${store.driver} map`, await map(station));
  for (let done = 0; done < sessions; done += BLOCK) {
    for (const contender of contenders) {
      terminal.progress(`policy: SMTP sessions, ${String(done)} of ${String(sessions)}`);
      await measure(contender, Math.min(sessions, BLOCK), cpu);
    }
  }
  return report(contenders, cpu);
}

function addressOf(client: number): string {
  return `127.0.1.${String(client + 1)}`;
}

async function map(station: Station): Promise<PostfixOptions> {
  const main = await station.popbsmtp("print", "postfix", "main");
  return {
    mainCf: main.replaceAll("/etc/postfix/", "$config_directory/"),
    files: { "popbsmtp.cf": await station.popbsmtp("print", "postfix", "map") },
  };
}

/**
 * Runs `total` sessions with clients that start again as soon as they are answered. Throws if a
 * client may not relay.
 */
async function measure(contender: Contender, total: number, cpu: CpuMeter): Promise<void> {
  const { name, postfix, times } = contender;
  let left = total;
  const before = cpu.read();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      while (left-- > 0) {
        const asked = performance.now();
        const reply = await postfix.rcpt({ from: addressOf(client), to: "user@example.net" });
        times.push(performance.now() - asked);
        if (reply.code !== 250) throw new Error(`${name}: ${String(reply.code)} ${reply.text}`);
      }
    }),
  );
  contender.wallMs += performance.now() - start;
  await sleep(SETTLE_MS);
  contender.cpuSeconds += cpu.read() - before;
}

function report(contenders: readonly Contender[], cpu: CpuMeter): string {
  const base = statistics(contenders[0]?.times ?? []).median;
  const rows = contenders.map(({ name, times, wallMs, cpuSeconds }) => {
    const { count, median, p95 } = statistics(times);
    return [
      name,
      median.toFixed(2),
      (median - base).toFixed(2),
      p95.toFixed(2),
      ((count / wallMs) * 1000).toFixed(0),
      ((cpuSeconds / count) * 1000).toFixed(2),
    ];
  });
  return [
    `Postfix: SMTP sessions from connecting to the answer to RCPT, ${String(CLIENTS)} at a time, from clients that may relay (${String(contenders[0]?.times.length ?? 0)} each)`,
    "",
    table(["milliseconds", "median", "added", "p95", "RCPT/s", "CPU s/1000"], rows),
    "",
    `CPU seconds for 1000 sessions, of Postfix, the daemon and the database: ${cpu.method}.`,
  ].join("\n");
}
