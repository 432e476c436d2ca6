import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { serverAccount } from "./accounts.ts";
import { DATABASE, PASSWORD, USER, type DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { runOk } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface PostgresOptions {
  /** Where it listens: an address of 127.0.0.0/8. Default 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. Two servers have the same where they have to, and are at two addresses. */
  readonly port?: number;
  /** More variables for its environment. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Makes it a streaming standby of this server, with a copy of its data. Default: of none. */
  readonly standbyOf?: DatabaseServer;
}

/**
 * A PostgreSQL server of its own: {@link DatabaseServer} says what is in it.
 *
 * Connections through the Unix socket (in `socket`, a directory) are trusted; those over TCP give a password (SCRAM).
 * `query` is the superuser's, "postgres".
 */
export async function startPostgres({
  host = "127.0.0.1",
  port: wanted,
  env,
  standbyOf: primary,
}: PostgresOptions = {}): Promise<DatabaseServer> {
  const programs = programDirectory();
  const owner = serverAccount("postgres");
  const port = wanted ?? (await freePort());
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ owner, mode: 0o755 }));
  const data = join(path, "data");
  const initdb = ["--no-sync", "--username=postgres", "--auth-local=trust"].concat([
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    `--pgdata=${data}`,
  ]);
  const copy = ["--no-sync", "--write-recovery-conf", "--checkpoint=fast", `--pgdata=${data}`];
  const [program, args] =
    primary === undefined
      ? ["initdb", initdb]
      : [
          "pg_basebackup",
          [...copy, `--host=${primary.socket}`, `--port=${primary.port}`, "--username=postgres"],
        ];
  await runOk(join(programs, program), args, { cwd: path, uid: owner?.uid, gid: owner?.gid });

  const connect = async <T>(database: string, use: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ host: path, port, database, user: "postgres", ssl: false });
    // a connection that the server breaks later is no reason to end the test
    client.on("error", () => {});
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  };
  const settings = {
    port: String(port),
    listen_addresses: host,
    unix_socket_directories: path,
    shared_buffers: "16MB",
  };
  const spawn = () =>
    startServerProcess(
      join(programs, "postgres"),
      ["-D", data, ...Object.entries(settings).map(([key, value]) => `--${key}=${value}`)],
      {
        account: owner,
        cwd: path,
        env,
        logFile: join(path, "log"),
        ready: () => connect("postgres", () => Promise.resolve(true)),
      },
    );

  let server = await spawn();
  stack.defer(() => server.end("SIGQUIT"));
  if (primary === undefined)
    await connect("postgres", async (client) => {
      await client.query(`CREATE ROLE ${USER} LOGIN PASSWORD '${PASSWORD}'`);
      await client.query(`CREATE DATABASE ${DATABASE} OWNER ${USER}`);
    });
  const resources = stack.move();
  return {
    host,
    port,
    socket: path,
    database: DATABASE,
    user: USER,
    password: PASSWORD,
    query: (sql, values) =>
      connect(DATABASE, async (client) => {
        // several statements at once give several results
        const results = [await client.query(sql, values && [...values])].flat();
        return results.at(-1)?.rows ?? [];
      }),
    pause: () => server.signalAll("SIGSTOP"),
    resume: () => server.signalAll("SIGCONT"),
    kill9: () => server.kill(),
    stop: () => server.end("SIGINT"),
    start: async () => {
      server = await spawn();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Debian keeps each version's programs in a directory of its own, not on PATH. */
function programDirectory(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error("no PostgreSQL here: run scripts/setup servers");
  return join(root, newest, "bin");
}
