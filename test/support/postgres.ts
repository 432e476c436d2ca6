import { appendFileSync, chownSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "pg";
import { serverAccount, type Account } from "./accounts.ts";
import { dataDirectory } from "./data-directory.ts";
import { DATABASE, PASSWORD, USER, type DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { runOk } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface PostgresOptions {
  /** Its address, in 127.0.0.0/8. Default 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. Two servers can have the same port at two addresses. */
  readonly port?: number;
  /** More variables for its environment. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Makes it a streaming standby of this server, with a copy of its data. Default: none. */
  readonly standbyOf?: DatabaseServer;
}

export interface PostgresServer extends DatabaseServer {
  /**
   * Starts it again, after `stop`, as a standby of this server, which was its standby until then.
   */
  startAsStandbyOf(primary: DatabaseServer): Promise<void>;
}

/**
 * A separate PostgreSQL server; {@link DatabaseServer} describes its contents.
 *
 * Connections through the Unix socket (in `socket`, a directory) are trusted; those over TCP need a
 * password (SCRAM). `query` uses the superuser "postgres".
 */
export async function startPostgres({
  host = "127.0.0.1",
  port: wanted,
  env,
  standbyOf: primary,
}: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = programDirectory();
  const owner = serverAccount("postgres");
  const port = wanted ?? (await freePort());
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ owner, mode: 0o755 }));
  const data = join(path, "data");
  if (primary === undefined) await newCluster(programs, data, owner);
  else await copyOf(primary, programs, data, owner);

  const connect = async <T>(database: string, use: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ host: path, port, database, user: "postgres", ssl: false });
    // a connection that the server closes later must not end the test
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
        // several statements return several results
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
    startAsStandbyOf: async ({ socket, port: its }) => {
      const primaryInfo = `host=${socket} port=${String(its)} user=postgres`;
      appendFileSync(join(data, "postgresql.auto.conf"), `primary_conninfo = '${primaryInfo}'\n`);
      const signal = join(data, "standby.signal");
      writeFileSync(signal, "");
      if (owner !== undefined) chownSync(signal, owner.uid, owner.gid);
      server = await spawn();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function newCluster(
  programs: string,
  path: string,
  owner: Account | undefined,
): Promise<void> {
  const postgres = join(programs, "postgres");
  const initdb = ["--no-sync", "--username=postgres", "--auth-local=trust"].concat([
    // a small log is copied faster
    "--wal-segsize=1",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
  ]);
  // single-user mode reads a statement a line
  const sql = `CREATE ROLE ${USER} LOGIN PASSWORD '${PASSWORD}'
CREATE DATABASE ${DATABASE} OWNER ${USER}
`;
  await dataDirectory(path, {
    owner,
    key: [await runOk(postgres, ["--version"]), ...initdb, sql],
    make: async (data, scratch) => {
      const as = { cwd: scratch, uid: owner?.uid, gid: owner?.gid };
      await runOk(join(programs, "initdb"), [...initdb, `--pgdata=${data}`], as);
      const said = await runOk(postgres, ["--single", "-D", data, "postgres"], {
        ...as,
        stdin: sql,
      });
      if (said.includes("ERROR")) throw new Error(said);
    },
  });
}

async function copyOf(
  primary: DatabaseServer,
  programs: string,
  data: string,
  owner: Account | undefined,
): Promise<void> {
  const options = ["--no-sync", "--write-recovery-conf", "--checkpoint=fast", `--pgdata=${data}`];
  await runOk(
    join(programs, "pg_basebackup"),
    [...options, `--host=${primary.socket}`, `--port=${primary.port}`, "--username=postgres"],
    { cwd: dirname(data), uid: owner?.uid, gid: owner?.gid },
  );
}

/** Debian installs each version's programs in a directory of its own, not on PATH. */
function programDirectory(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error("no PostgreSQL here: run scripts/setup servers");
  return join(root, newest, "bin");
}
