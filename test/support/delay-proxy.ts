import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** A TCP port that leads to another one, at a distance. */
export interface DelayProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** How long everything takes on its way, there as well as back. Milliseconds; at first 0. */
  delay: number;
  /** From now on nothing passes on the connections that are open, as behind a firewall that has forgotten them. */
  forget(): void;
}

/** Leads to a port of 127.0.0.1. Where nobody listens there, connections break. */
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
  // what comes later never arrives earlier, also where the delay has just become less
  let last = 0;
  const later = (action: () => void) => {
    const now = performance.now();
    last = Math.max(last, now + delay());
    setTimeout(action, last - now);
  };
  from.on("data", (chunk) => later(() => to.write(chunk)));
  from.on("end", () => later(() => to.end()));
}
