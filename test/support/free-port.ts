import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A free TCP port, on 127.0.0.1 and on ::1.
 *
 * It is below the range from which the kernel takes ports for outgoing connections (32768 and up),
 * so that none of these occupies it before the server starts.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(20_000, 32_000);
    if ((await isFree("127.0.0.1", port)) && (await isFree("::1", port))) return port;
  }
  throw new Error("no free port on 127.0.0.1 and ::1");
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer().listen({ host, port, exclusive: true });
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
