/**
 * Creates and removes Unix sockets at a path.
 *
 * The directory may belong to another user, who replaces files by links while root works there. So
 * root does nothing in it: bind(2) creates the socket with the rights of its future owner, and with
 * the right owner and mode from the start; nothing is given away or opened up by its path. Only if
 * that account cannot write to the directory does root create the socket, and keep it; and only if
 * the path to the directory is root's alone, because bind(2) and unlink(2) follow links in the
 * path, though not at its end.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  type BigIntStats,
} from "node:fs";
import { once } from "node:events";
import { connect, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { EX, PopbsmtpError, codeOf } from "../../lib/errors.ts";
import { asAccount, isRoot, type Account } from "../../system/privileges.ts";
import { BACKLOG, cannotListen, listening, OccupiedError } from "./listening.ts";
import { isRootsOwn, rootsWayTo } from "../../system/roots-way.ts";
import { pathHolders } from "./taken.ts";

/** O_PATH of open(2) on Linux: a descriptor for a file of any kind. Node has no name for it. */
const O_PATH = 0x20_0000;

export interface SocketFileOptions {
  /** The permissions of the socket. */
  readonly mode: number;
  /**
   * The owner of the socket, and of its directory if that has to be created, when root creates
   * them. Default: the user of this process.
   */
  readonly owner: Account | undefined;
  /** Whether to create the socket only if its owner can remove it later. Default false. */
  readonly mustGo?: boolean;
}

/** Does some work with certain rights. */
type As = <T>(work: () => T) => T;

const asItself: As = (work) => work();

/**
 * Makes `server` listen at a path. Replaces a socket that no process answers.
 *
 * @returns a function that stops it, and removes the socket's file if it is still this one's
 * @throws OccupiedError if another process listens there, or the path is not a socket
 * @throws PopbsmtpError (73, 77) if the socket cannot be created
 */
export async function listenAtPath(
  path: string,
  server: Server,
  options: SocketFileOptions,
): Promise<() => void> {
  try {
    return await makeSocket(path, server, options);
  } catch (cause) {
    throw explained(path, cause);
  }
}

async function makeSocket(
  path: string,
  server: Server,
  { mode, owner, mustGo = false }: SocketFileOptions,
): Promise<() => void> {
  if (owner === undefined || owner.uid === 0 || !isRoot()) {
    return listenAs(asItself, path, server, mode);
  }
  try {
    makeRootsDirectory(dirname(path), owner);
    return await listenAs((work) => asAccount(owner, work), path, server, mode);
  } catch (error) {
    const denied = explained(path, error).exitStatus === EX.NOPERM;
    const directory = denied ? wayTo(dirname(path)) : undefined;
    if (directory === undefined) throw error;
    if (mustGo) {
      throw new PopbsmtpError(
        `${path}: its directory must belong to the daemon's user: a socket file left behind would delay every login`,
        EX.NOPERM,
        { cause: error },
      );
    }
    return await listenAs(asItself, join(directory, basename(path)), server, mode);
  }
}

function explained(path: string, error: unknown): PopbsmtpError {
  return error instanceof PopbsmtpError ? error : cannotListen(path, error);
}

async function listenAs(as: As, path: string, server: Server, mode: number): Promise<() => void> {
  // all users may search the directory; the mode of each socket restricts them
  withUmask(0o022, () => as(() => makeDirectories(dirname(path))));
  await removeStale(as, path);
  // bind(2) obeys the umask; Node calls it before listen() returns
  withUmask(0o777 & ~mode, () => as(() => server.listen({ path, backlog: BACKLOG })));
  await listening(server, path);
  const mine = as(() => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
  const stop = () => as(() => closeAtPath(path, server, mine));
  if (mine !== undefined) return stop;
  stop();
  throw new OccupiedError(`${path}: another process has removed this socket`);
}

/**
 * Below directories that are root's alone, root creates the missing ones, and gives the last to
 * `owner`, which can then remove the socket.
 */
function makeRootsDirectory(directory: string, owner: Account): void {
  if (statSync(directory, { throwIfNoEntry: false }) !== undefined) return;
  let there = dirname(directory);
  while (statSync(there, { throwIfNoEntry: false }) === undefined) there = dirname(there);
  const way = wayTo(there);
  if (way === undefined || !isRootsOwn(way)) return;
  const made = join(way, directory.slice(there.length));
  withUmask(0o022, () => makeDirectories(made));
  const descriptor = openSync(made, constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchownSync(descriptor, owner.uid, owner.gid);
  } finally {
    closeSync(descriptor);
  }
}

/** Unlike Node's own `recursive`, which never ends below /proc. */
function makeDirectories(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeDirectories(dirname(path));
  mkdirSync(path);
}

function wayTo(directory: string): string | undefined {
  try {
    return rootsWayTo(directory);
  } catch {
    // the directory does not exist
    return undefined;
  }
}

async function removeStale(as: As, path: string): Promise<void> {
  const descriptor = as(() => openIfThere(path));
  if (descriptor === undefined) return;
  try {
    const found = fstatSync(descriptor, { bigint: true });
    if (!found.isSocket()) {
      throw new OccupiedError(`${path}: exists and is not a socket; move it away`);
    }
    const isStale = !(await isAnswered(as, descriptor, path));
    if (isStale && as(() => removeIfStill(path, found))) return;
  } finally {
    closeSync(descriptor);
  }
  throw new OccupiedError(`${path}: another popbsmtp serve listens there (stop it first)`);
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    // a daemon that exits may remove its socket at any moment
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Whether a process answers at a socket. It connects through a descriptor, because another socket
 * may be at the path by now.
 *
 * @throws if that cannot be determined
 */
async function isAnswered(as: As, descriptor: number, path: string): Promise<boolean> {
  const probe = as(() => connect(`/proc/self/fd/${descriptor}`));
  try {
    await once(probe, "connect");
    return true;
  } catch (error) {
    switch (codeOf(error)) {
      case "ECONNREFUSED":
        return false;
      // its backlog is full; or the process has just exited, and may have removed its socket
      case "EAGAIN":
      case "ECONNRESET":
        return true;
      case "EACCES":
        if (pathHolders(path).length > 0) return true;
    }
    throw error;
  } finally {
    probe.destroy();
  }
}

/** False if another daemon has created its socket there meanwhile. */
function removeIfStill(path: string, stale: BigIntStats): boolean {
  const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (there !== undefined && !isSame(there, stale)) return false;
  rmSync(path, { force: true });
  return true;
}

/**
 * Closing a server makes libuv remove the file at its path: the socket of another process is moved
 * aside meanwhile.
 */
function closeAtPath(path: string, server: Server, mine: BigIntStats | undefined): void {
  const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (there === undefined || isSame(there, mine)) {
    server.close();
    return;
  }
  const aside = `${path}.${process.pid}`;
  try {
    linkSync(path, aside);
    server.close();
    renameSync(aside, path);
  } catch {
    // the directory is another user's by now, so libuv cannot remove the file either
    server.close();
  }
}

function isSame(one: BigIntStats, other: BigIntStats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

function withUmask<T>(mask: number, work: () => T): T {
  const before = process.umask(mask);
  try {
    return work();
  } finally {
    process.umask(before);
  }
}
