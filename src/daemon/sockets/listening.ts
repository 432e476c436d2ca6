/** How every server here starts to listen, and the error if that fails. */
import type { Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import type { Server } from "node:net";
import { EX, PopbsmtpError, reasonOf, codeOf } from "../../lib/errors.ts";

/**
 * How many connections may wait to be accepted, up to net.core.somaxconn. A storm of logins waits
 * here.
 */
export const BACKLOG = 4096;

/** The endpoint is occupied, perhaps only for a while. Callers may wait. */
export class OccupiedError extends PopbsmtpError {
  override name = "OccupiedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.CANTCREAT, options);
  }
}

/** Waits until `server` listens. Rejects with a message that begins with `where` if it cannot. */
export async function listening(server: Server | DatagramSocket, where: string): Promise<void> {
  try {
    await once(server, "listening");
  } catch (cause) {
    throw cannotListen(where, cause);
  }
}

/** The error when listening failed. */
export function cannotListen(where: string, cause: unknown): PopbsmtpError {
  const code = codeOf(cause);
  if (code === "EADDRINUSE") {
    return new OccupiedError(`${where}: another process listens there; stop it or name another`, {
      cause,
    });
  }
  const denied = code === "EACCES" || code === "EPERM";
  const message = reasonOf(cause);
  return new PopbsmtpError(
    `${where}: cannot listen there: ${message}`,
    denied ? EX.NOPERM : EX.CANTCREAT,
    { cause },
  );
}
