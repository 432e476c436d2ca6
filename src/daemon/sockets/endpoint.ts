/** One place to listen at, as [serve] names it. */
import type { Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { endpointName, type Endpoint, type PortEndpoint } from "../../config/config.ts";
import { EX, PopbsmtpError } from "../../lib/errors.ts";
import { BACKLOG, listening, OccupiedError } from "./listening.ts";
import { listenAtPath, type SocketFileOptions } from "./socket-file.ts";
import { portHolders, type Transport } from "./taken.ts";

/** How long to wait between two tries where somebody else listens. Milliseconds. */
const RETRY_MS = 50;

export interface EndpointOptions extends SocketFileOptions {
  /** How long to wait where another daemon listens, for it to go away. Milliseconds. */
  readonly patience: number;
}

/**
 * Makes `server` listen at an endpoint. A Unix socket that nobody answers at any more is replaced.
 *
 * @returns what stops it, and takes the socket's file away if it is still this one's
 * @throws OccupiedError where somebody else listens there
 * @throws PopbsmtpError (73, 77) where the socket cannot be made
 */
export async function listenAt(
  endpoint: Endpoint,
  server: Server,
  options: EndpointOptions,
): Promise<() => void> {
  return patiently(options.patience, () =>
    "path" in endpoint
      ? listenAtPath(endpoint.path, server, options)
      : listenAtPort(endpoint, server),
  );
}

/** Does `attempt` again, up to so many milliseconds, where somebody else listens. */
export async function patiently<T>(patience: number, attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + patience;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof OccupiedError) || performance.now() >= end) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** A port below 1024 is root's: to anybody else the kernel does not say that it is occupied, too. */
export function deniedOrOccupied(
  error: unknown,
  endpoint: PortEndpoint,
  transport: Transport,
): unknown {
  const denied = error instanceof PopbsmtpError && error.exitStatus === EX.NOPERM;
  return denied && portHolders(endpoint, transport).length > 0
    ? new OccupiedError(`${endpointName(endpoint)}: another process listens there; stop it first`, {
        cause: error,
      })
    : error;
}

async function listenAtPort(endpoint: PortEndpoint, server: Server): Promise<() => void> {
  try {
    await listening(server.listen({ ...endpoint, backlog: BACKLOG }), endpointName(endpoint));
  } catch (error) {
    throw deniedOrOccupied(error, endpoint, "tcp");
  }
  return () => void server.close();
}
