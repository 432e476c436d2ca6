/** One place to listen at, as [serve] names it: made, and taken away again. */
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  type BigIntStats,
} from "node:fs";
import type { Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endpointName, type Endpoint } from "../config/config.ts";
import { EX, PopbsmtpError } from "../errors.ts";
import { isRoot, type Account } from "../privileges.ts";

/** How many connections may wait to be accepted, as far as net.core.somaxconn lets them. A storm of logins waits here. */
export const BACKLOG = 4096;

/** How long to wait between two tries where somebody else listens. Milliseconds. */
const RETRY_MS = 50;

/** An address somebody else listens at. Only here: callers may want to wait for that one to go away. */
class InUseError extends PopbsmtpError {
  override name = "InUseError";
}

export interface EndpointOptions {
  /** A Unix socket's permissions. */
  readonly mode: number;
  /** Whom a Unix socket, and its directory where that has to be made, are given to by root. */
  readonly owner: Account | undefined;
  /** How long to wait where another daemon listens, for it to go away. Milliseconds. */
  readonly patience: number;
}

/**
 * Makes `server` listen at an endpoint. A Unix socket that nobody answers at any more is replaced.
 *
 * @returns what stops it, and takes the socket's file away if it is still this one's
 * @throws PopbsmtpError (73) where another process listens there or the socket cannot be made
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
      if (!(error instanceof InUseError) || performance.now() >= end) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Waits until `server`, told to listen, does so. Rejects with a message that begins with `where` if it cannot. */
export async function listening(server: Server | DatagramSocket, where: string): Promise<void> {
  try {
    await once(server, "listening");
  } catch (cause) {
    if (codeOf(cause) === "EADDRINUSE") {
      throw new InUseError(`${where}: another process listens there`, EX.CANTCREAT, { cause });
    }
    throw cannotListen(where, cause);
  }
}

async function listenAtPort(
  endpoint: Extract<Endpoint, { port: number }>,
  server: Server,
): Promise<() => void> {
  await listening(server.listen({ ...endpoint, backlog: BACKLOG }), endpointName(endpoint));
  return () => void server.close();
}

async function listenAtPath(
  path: string,
  server: Server,
  { mode, owner }: EndpointOptions,
): Promise<() => void> {
  try {
    makeDirectory(dirname(path), owner);
    await removeStale(path);
  } catch (cause) {
    throw cause instanceof PopbsmtpError ? cause : cannotListen(path, cause);
  }
  // bind(2) obeys the umask, so that nobody can connect before the mode is right. Node binds before listen() returns.
  const umask = process.umask(0o777 & ~mode);
  server.listen({ path, backlog: BACKLOG });
  process.umask(umask);
  await listening(server, path);
  const mine = lstatSync(path, { bigint: true });
  if (owner !== undefined && isRoot()) chownSync(path, owner.uid, owner.gid);
  return () => closeAtPath(path, server, mine);
}

/** Made for anybody to pass through; what may be done in it is for each socket's mode to say. */
function makeDirectory(path: string, owner: Account | undefined): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  chmodSync(path, 0o755);
  // so that the sockets can be taken away when this is root no more
  if (owner !== undefined && isRoot()) chownSync(path, owner.uid, owner.gid);
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new PopbsmtpError(`${path}: is there and is no socket; move it away`, EX.CANTCREAT);
  }
  const probe = connect(path);
  try {
    await once(probe, "connect");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return;
    if (code === "ECONNREFUSED") return rmSync(path, { force: true });
    // EAGAIN: its backlog is full
    if (code !== "EAGAIN") throw error;
  } finally {
    probe.destroy();
  }
  throw new InUseError(
    `${path}: another popbsmtp serve listens there (stop it first)`,
    EX.CANTCREAT,
  );
}

/** Closing removes whatever is at the path it was bound to (libuv does): another's socket is held fast meanwhile. */
function closeAtPath(path: string, server: Server, mine: BigIntStats): void {
  const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (there === undefined || (there.ino === mine.ino && there.dev === mine.dev)) {
    server.close();
    return;
  }
  const aside = `${path}.${process.pid}`;
  try {
    linkSync(path, aside);
    server.close();
    renameSync(aside, path);
  } catch {
    // somebody else's directory by now: then nothing in it can be removed either
    server.close();
  }
}

function cannotListen(where: string, cause: unknown): PopbsmtpError {
  const code = codeOf(cause);
  const message = cause instanceof Error ? cause.message : String(cause);
  return new PopbsmtpError(
    `${where}: cannot listen there: ${message}`,
    code === "EACCES" || code === "EPERM" ? EX.NOPERM : EX.CANTCREAT,
    { cause },
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
