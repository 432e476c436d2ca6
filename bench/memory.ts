/** The daemon's memory after many logins. */
import type { Terminal } from "../src/lib/terminal.ts";
import { postLoginRequest } from "../test/support/serve.ts";
import { load } from "./load.ts";
import { goals, table } from "./report.ts";
import type { Site } from "./site.ts";

const CONNECTIONS = 50;

/** The number of addresses, each of another user. */
const ADDRESSES = 100_000;

/** The number of readings in between. */
const LOOKS = 5;

export interface MemoryOptions {
  readonly logins: number;
}

export async function memory(
  site: Site,
  { logins }: MemoryOptions,
  terminal: Terminal,
): Promise<string> {
  const [store] = site.stores;
  if (store === undefined) throw new Error("no store");
  await using station = await site.station(store, "memory");
  await store.clear();
  const requests = Array.from({ length: ADDRESSES }, (_, n) =>
    postLoginRequest(
      `2001:db8::${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}`,
      `u${String(n)}@example.org`,
    ),
  );
  await using daemon = await station.serve();
  const rows = [["after its start", daemon.memory().now.toFixed(0), "", ""]];
  const part = logins / LOOKS;
  for (let done = 0; done < logins; done += part) {
    terminal.progress(`memory: ${String(done)} of ${String(logins)} logins`);
    const next = done % ADDRESSES;
    const { answersPerSecond, p99 } = await load(site.load, daemon.socket("imap"), {
      requests: [...requests.slice(next), ...requests.slice(0, next)],
      answers: part,
      connections: CONNECTIONS,
    });
    rows.push([
      `after ${String(done + part)} logins`,
      daemon.memory().now.toFixed(0),
      answersPerSecond.toFixed(0),
      p99.toFixed(1),
    ]);
  }
  await station.drained();
  const found = await store.logins();
  if (found !== logins)
    throw new Error(`${String(logins)} logins, but ${String(found)} in ${store.driver}`);
  const { most } = daemon.memory();
  return [
    `popbsmtp serve: ${String(logins)} logins from ${String(Math.min(logins, ADDRESSES))} addresses through its post-login socket, ${String(CONNECTIONS)} at a time, to ${store.driver}`,
    "",
    table(["", "resident MB", "logins/s", "p99 ms"], rows),
    "",
    goals([
      { what: "the most that it had", value: most, bound: "at most", limit: 100, unit: "MB" },
    ]),
  ].join("\n");
}
