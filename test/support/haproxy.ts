import { writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { serverAccount } from "./accounts.ts";
import type { DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** HAProxy in front of database servers. */
export interface Haproxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

/**
 * Leads to the first of the servers that accepts connections.
 *
 * @param idle after so many milliseconds without traffic it cuts a connection
 */
export async function startHaproxy(
  servers: readonly DatabaseServer[],
  idle: number,
): Promise<Haproxy> {
  const owner = serverAccount("haproxy");
  const [host, port] = ["127.0.0.1", await freePort()];
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ owner, mode: 0o755 }));
  const config = join(path, "haproxy.cfg");
  const lines = servers.map(
    (server, number) =>
      `  server s${String(number)} ${server.host}:${String(server.port)} check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions${number === 0 ? "" : " backup"}\n`,
  );
  writeFileSync(
    config,
    `defaults
  mode tcp
  timeout connect 1s
  retries 1
  option redispatch
  timeout client ${String(idle)}ms
  timeout server ${String(idle)}ms
listen database
  bind ${host}:${String(port)}
${lines.join("")}`,
  );
  const ready = async () => {
    const socket = createConnection({ host, port });
    await once(socket, "connect");
    socket.destroy();
    return true;
  };
  const process = await startServerProcess("haproxy", ["-db", "-f", config], {
    account: owner,
    cwd: path,
    logFile: join(path, "log"),
    ready,
  });
  stack.defer(() => process.kill());
  const resources = stack.move();
  return { host, port, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
