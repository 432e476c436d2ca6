import { join } from "node:path";
import mysql, { type Connection, type RowDataPacket } from "mysql2/promise";
import { serverAccount, type Account } from "./accounts.ts";
import { dataDirectory } from "./data-directory.ts";
import { DATABASE, PASSWORD, USER, type DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { runOk } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface MariadbOptions {
  /** Its address, in 127.0.0.0/8. Default 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. The hosts of one database have the same port. */
  readonly port?: number;
  /** More variables for its environment. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further options for mariadbd: for each start, or only for the first. Default: none. */
  readonly options?: readonly string[];
  readonly firstOptions?: readonly string[];
  /**
   * Makes it a replica of this server, which must have a log (--log-bin) and the account copy.
   * Default: none.
   */
  readonly replicaOf?: DatabaseServer;
}

/**
 * A separate MariaDB server; {@link DatabaseServer} describes its contents.
 *
 * The account needs its password on the Unix socket too. `query` uses the superuser "root".
 */
export async function startMariadb({
  host: address = "127.0.0.1",
  port: wanted,
  env,
  options = [],
  firstOptions = [],
  replicaOf: primary,
}: MariadbOptions = {}): Promise<DatabaseServer> {
  const owner = serverAccount("mysql");
  const port = wanted ?? (await freePort());
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ owner, mode: 0o755 }));
  const data = join(path, "data");
  const socket = join(path, "socket");
  await newDatabase(data, owner);

  const connect = async <T>(
    database: string,
    use: (connection: Connection) => Promise<T>,
  ): Promise<T> => {
    const connection = await mysql.createConnection({
      socketPath: socket,
      user: "root",
      database,
      multipleStatements: true,
      timezone: "Z",
    });
    // a connection that the server closes later must not end the test
    connection.on("error", () => {});
    try {
      return await use(connection);
    } finally {
      await connection.end();
    }
  };
  const settings = {
    datadir: data,
    socket,
    port: String(port),
    "bind-address": address,
    "pid-file": join(path, "pid"),
  };
  const spawn = (more: readonly string[] = []) =>
    startServerProcess(
      "mariadbd",
      ["--no-defaults", "--skip-name-resolve", temporaryIn(path), ...SIZES].concat(
        Object.entries(settings).map(([key, value]) => `--${key}=${value}`),
        options,
        more,
      ),
      {
        account: owner,
        cwd: path,
        env,
        logFile: join(path, "log"),
        ready: () => connect("mysql", () => Promise.resolve(true)),
      },
    );

  let server = await spawn(firstOptions);
  stack.defer(() => server.kill());
  if (primary !== undefined) {
    await connect("mysql", async (connection) => {
      await connection.query(
        `CHANGE MASTER TO MASTER_HOST='${primary.host}', MASTER_PORT=${String(primary.port)}, MASTER_USER='copy', MASTER_USE_GTID=slave_pos; START SLAVE`,
      );
    });
  }
  const resources = stack.move();
  return {
    host: address,
    port,
    socket,
    database: DATABASE,
    user: USER,
    password: PASSWORD,
    query: (sql, values) =>
      connect(DATABASE, async (connection) => {
        const [rows] = await connection.query<RowDataPacket[]>(sql, values && [...values]);
        return Array.isArray(rows) ? rows : [];
      }),
    pause: () => server.signalAll("SIGSTOP"),
    resume: () => server.signalAll("SIGCONT"),
    kill9: () => server.kill(),
    stop: () => server.end("SIGTERM"),
    start: async () => {
      server = await spawn();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

// its default log would be 96 MB
const SIZES = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"];

/** Not /tmp: a server deletes other servers' temporary tables there when it starts. */
function temporaryIn(path: string): string {
  return `--tmpdir=${path}`;
}

async function newDatabase(path: string, owner: Account | undefined): Promise<void> {
  const install = ["--skip-test-db", "--skip-name-resolve", ...SIZES].concat(
    "--auth-root-authentication-method=normal",
  );
  // until then, it knows of no accounts
  const sql = `FLUSH PRIVILEGES;
CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4;
${["%", "localhost"].map((host) => `CREATE USER '${USER}'@'${host}' IDENTIFIED BY '${PASSWORD}';\nGRANT ALL ON ${DATABASE}.* TO '${USER}'@'${host}';\n`).join("")}`;
  await dataDirectory(path, {
    owner,
    key: [await runOk("mariadbd", ["--no-defaults", "--version"]), ...install, sql],
    make: async (data, scratch) => {
      const as = { cwd: scratch, uid: owner?.uid, gid: owner?.gid };
      const place = ["--no-defaults", `--datadir=${data}`, temporaryIn(scratch)];
      await runOk("mariadb-install-db", [...place, ...install], as);
      await runOk("mariadbd", [...place, "--bootstrap", "--skip-name-resolve", ...SIZES], {
        ...as,
        stdin: sql,
      });
    },
  });
}
