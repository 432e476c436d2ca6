import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { serverAccount } from "./accounts.ts";
import { DATABASE, USER, type DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** A pgbouncer in transaction mode in front of a PostgreSQL server. */
export interface Pgbouncer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

/** Two server connections for all clients, so that clients take turns. */
export async function startPgbouncer(server: DatabaseServer): Promise<Pgbouncer> {
  const owner = serverAccount("postgres");
  const [host, port] = ["127.0.0.1", await freePort()];
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ owner, mode: 0o755 }));
  writeFileSync(join(path, "users"), `"${USER}" ""\n`);
  const config = join(path, "pgbouncer.ini");
  writeFileSync(
    config,
    `[databases]
${DATABASE} = host=${server.socket} port=${String(server.port)}
[pgbouncer]
listen_addr = ${host}
listen_port = ${String(port)}
unix_socket_dir =
auth_type = trust
auth_file = ${join(path, "users")}
pool_mode = transaction
default_pool_size = 2
server_login_retry = 1
`,
  );
  const ready = async () => {
    const client = new Client({ host, port, database: DATABASE, user: USER, ssl: false });
    await client.connect();
    await client.end();
    return true;
  };
  const process = await startServerProcess("pgbouncer", [config], {
    account: owner,
    cwd: path,
    logFile: join(path, "log"),
    ready,
  });
  stack.defer(() => process.kill());
  const resources = stack.move();
  return { host, port, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
