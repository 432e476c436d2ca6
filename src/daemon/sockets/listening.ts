/** What is the same wherever something listens: how it begins, and what is said where it does not. */
import type { Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import type { Server } from "node:net";
import { EX, PopbsmtpError, reasonOf, codeOf } from "../../lib/errors.ts";

/** How many connections may wait to be accepted, as far as net.core.somaxconn lets them. A storm of logins waits here. */
export const BACKLOG = 4096;

/** Somebody or something else is in the place, and may go away. Callers may want to wait for that. */
export class OccupiedError extends PopbsmtpError {
  override name = "OccupiedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.CANTCREAT, options);
  }
}

/** Waits until `server`, told to listen, does so. Rejects with a message that begins with `where` if it cannot. */
export async function listening(server: Server | DatagramSocket, where: string): Promise<void> {
  try {
    await once(server, "listening");
  } catch (cause) {
    throw cannotListen(where, cause);
  }
}

/** What is said where that failed. */
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
