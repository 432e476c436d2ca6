import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** A TCP port that forwards to another, with a delay. */
export interface DelayProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** The delay in each direction, in milliseconds; initially 0. */
  delay: number;
  /** Drops all further data on the open connections, as a firewall does that has forgotten them. */
  forget(): void;
}

/** Forwards to a port of 127.0.0.1. Connections break while no process listens there. */
export async function startDelayProxy(target: number): Promise<DelayProxy> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = createConnection(target, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.setNoDelay(true);
      forward(from, to, () => proxy.delay);
      from.on("error", () => from.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP port");
  const proxy: DelayProxy = {
    host: "127.0.0.1",
    port: address.port,
    delay: 0,
    forget: () => {
      for (const socket of open) socket.removeAllListeners("data").resume();
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, "close");
    },
  };
  return proxy;
}

function forward(from: Socket, to: Socket, delay: () => number): void {
  // data stays in order, also when the delay has just been reduced
  let last = 0;
  const later = (action: () => void) => {
    const now = performance.now();
    last = Math.max(last, now + delay());
    setTimeout(action, last - now);
  };
  from.on("data", (chunk) => later(() => to.write(chunk)));
  from.on("end", () => later(() => to.end()));
}
