import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { serverAccount } from "./accounts.ts";
import { freePort } from "./free-port.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Debian's Prometheus, in a directory of its own, on loopback. */
export interface Prometheus extends AsyncDisposable {
  /** Evaluates an expression now. Throws if Prometheus rejects it. */
  query(expression: string): Promise<readonly unknown[]>;
  /** The names of all metrics scraped so far. */
  metricNames(): Promise<readonly string[]>;
}

/**
 * Starts Prometheus, which scrapes the target every second.
 *
 * @param target host and port
 * @param job the target's label job
 */
export async function startPrometheus(target: string, job: string): Promise<Prometheus> {
  await using stack = new AsyncDisposableStack();
  const account = serverAccount("nobody");
  const directory = stack.use(temporaryDirectory({ owner: account, mode: 0o755 })).path;
  const config = join(directory, "prometheus.yml");
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s" },
      scrape_configs: [{ job_name: job, static_configs: [{ targets: [target] }] }],
    }),
  );
  const cwd = join(directory, "run");
  mkdirSync(cwd);
  const listen = `127.0.0.1:${await freePort()}`;
  const fetchJson = async (path: string): Promise<unknown> =>
    (await fetch(`http://${listen}${path}`)).json();
  const server = await startServerProcess(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=${listen}`,
    ],
    {
      logFile: join(directory, "log"),
      account,
      cwd,
      ready: async () => (await fetch(`http://${listen}/-/ready`)).ok,
    },
  );
  stack.defer(() => server.end("SIGTERM"));
  const resources = stack.move();
  return {
    query: async (expression) => {
      const answer = v.parse(
        QUERY,
        await fetchJson(`/api/v1/query?query=${encodeURIComponent(expression)}`),
      );
      if (answer.status === "error") throw new Error(`${expression}: ${answer.error}`);
      return answer.data.result;
    },
    metricNames: async () => v.parse(NAMES, await fetchJson("/api/v1/label/__name__/values")).data,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const QUERY = v.variant("status", [
  v.object({
    status: v.literal("success"),
    data: v.object({ result: v.array(v.unknown()) }),
  }),
  v.object({ status: v.literal("error"), error: v.string() }),
]);
const NAMES = v.object({ status: v.literal("success"), data: v.array(v.string()) });
