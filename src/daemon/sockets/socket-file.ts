/**
 * A Unix socket made at a path, and taken away again.
 *
 * The directory may be somebody else's, who swaps files for links while root is at work. So root does nothing there: the socket is made
 * with the rights of the account that it is to belong to, by bind(2) alone, with the right owner and mode from the first moment, and
 * nothing is ever given away or opened up by its path. Only where that account may not write to the directory root makes the socket
 * itself, and keeps it; and only where the way to the directory is root's alone, for bind(2) and unlink(2) follow links on the way,
 * though not at its end.
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

/** open(2), for Linux: a descriptor that stands for a file of any kind. Node has no name for it. */
const O_PATH = 0x20_0000;

export interface SocketFileOptions {
  /** The socket's permissions. */
  readonly mode: number;
  /** Whom the socket, and its directory where that has to be made, belong to where root makes them. Default: this process' user. */
  readonly owner: Account | undefined;
  /** Whether the socket is only to be made where its owner can take it away in the end. Default false. */
  readonly mustGo?: boolean;
}

/** Does something with certain rights. */
type As = <T>(work: () => T) => T;

const asItself: As = (work) => work();

/**
 * Makes `server` listen at a path. A socket that nobody answers at any more is replaced.
 *
 * @returns what stops it, and takes the socket's file away if it is still this one's
 * @throws OccupiedError where another process listens there, or there is something else
 * @throws PopbsmtpError (73, 77) where the socket cannot be made
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
        `${path}: its directory has to belong to the daemon's user: a socket that stays behind would hold up every login`,
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
  // for anybody to pass through; what may be done in it is for each socket's mode to say
  withUmask(0o022, () => as(() => makeDirectories(dirname(path))));
  await removeStale(as, path);
  // bind(2) obeys the umask. Node binds before listen() returns.
  withUmask(0o777 & ~mode, () => as(() => server.listen({ path, backlog: BACKLOG })));
  await listening(server, path);
  const mine = as(() => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
  const stop = () => as(() => closeAtPath(path, server, mine));
  if (mine !== undefined) return stop;
  stop();
  throw new OccupiedError(`${path}: somebody has removed the socket that was made there`);
}

/** In directories that are root's alone root makes what is missing, and gives the last to `owner`, who can then take the socket away. */
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

/** Not Node's own `recursive`: below /proc that never ends. */
function makeDirectories(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeDirectories(dirname(path));
  mkdirSync(path);
}

function wayTo(directory: string): string | undefined {
  try {
    return rootsWayTo(directory);
  } catch {
    // it is not there
    return undefined;
  }
}

async function removeStale(as: As, path: string): Promise<void> {
  const descriptor = as(() => openIfThere(path));
  if (descriptor === undefined) return;
  try {
    const found = fstatSync(descriptor, { bigint: true });
    if (!found.isSocket()) {
      throw new OccupiedError(`${path}: is there and is no socket; move it away`);
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
    // a daemon that ends takes its socket away at any moment
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Whether somebody listens at a socket. It is asked for by a descriptor: at its path there may be another one by now.
 *
 * @throws where nobody can tell
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
      // its backlog is full; or it has just ended, and may have taken its socket away
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

/** False where another daemon has made its socket there meanwhile. */
function removeIfStill(path: string, stale: BigIntStats): boolean {
  const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (there !== undefined && !isSame(there, stale)) return false;
  rmSync(path, { force: true });
  return true;
}

/** Closing removes whatever is at the path it was bound to (libuv does): another's socket is held fast meanwhile. */
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
    // somebody else's directory by now: then nothing in it can be removed either
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
