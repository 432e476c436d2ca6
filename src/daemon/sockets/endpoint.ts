/** A server at one endpoint, as [serve] names it. */
import type { Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { endpointName, type Endpoint, type PortEndpoint } from "../../config/config.ts";
import { EX, PopbsmtpError } from "../../lib/errors.ts";
import { BACKLOG, listening, OccupiedError } from "./listening.ts";
import { listenAtPath, type SocketFileOptions } from "./socket-file.ts";
import { portHolders, type SocketType } from "./taken.ts";

/** How long to wait between two attempts at an occupied endpoint, in milliseconds. */
const RETRY_MS = 50;

export interface EndpointOptions extends SocketFileOptions {
  /** How long to wait for another daemon to release the endpoint, in milliseconds. */
  readonly patience: number;
}

/**
 * Makes `server` listen at an endpoint. Replaces a Unix socket that no process answers.
 *
 * @returns a function that stops it, and removes the socket's file if it is still this one's
 * @throws OccupiedError if another process listens there
 * @throws PopbsmtpError (73, 77) if the socket cannot be created
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

/** Repeats `attempt`, for up to `patience` milliseconds, while the endpoint is occupied. */
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

/**
 * Only root can bind a port below 1024: other users get EACCES, even if the port is also occupied.
 */
export function deniedOrOccupied(
  error: unknown,
  endpoint: PortEndpoint,
  transport: SocketType,
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
