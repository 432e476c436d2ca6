import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import type { Installation } from "./installation.ts";
import { startServerProcess } from "./server-process.ts";

export interface Tcpserver extends AsyncDisposable {
  /** Connects from 127.0.0.1 and returns the whole output. */
  connect(): Promise<string>;
}

/**
 * Starts tcpserver(1) as the installation's user. A connection tests whether it is up, so the
 * command runs once.
 *
 * @param command a shell's words, run for each connection
 */
export async function startTcpserver(
  { directory, user: { uid, gid } }: Pick<Installation, "directory" | "user">,
  command: string,
): Promise<Tcpserver> {
  const port = await freePort();
  const server = await startServerProcess(
    "/bin/sh",
    ["-c", `exec tcpserver -HR -l0 -u ${uid} -g ${gid} 127.0.0.1 ${port} ${command}`],
    {
      logFile: join(directory, `tcpserver-${port}.log`),
      cwd: directory,
      ready: async () => {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        socket.destroy();
        return true;
      },
    },
  );
  return {
    connect: async () => {
      let text = "";
      for await (const chunk of connect(port, "127.0.0.1")) text += String(chunk);
      return text;
    },
    [Symbol.asyncDispose]: () => server.kill(),
  };
}
