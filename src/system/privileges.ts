/**
 * The user of this process, and how root becomes another user.
 *
 * Root never works in a directory in which another user can put links, FIFOs or files in its way.
 * The list shows how each part obeys this rule; test/integration/links.test.ts attacks them.
 *
 * - Configuration, password files, dracd.allow, Postfix's map file: root reads them before anything
 *   else. The files and their directories are root's (`doctor` checks).
 * - drain, purge, list, check, allow, revoke, watch, relay --ask: dropPrivileges(), then the spool,
 *   the mail log and the store. All of these go through enter() in commands/context.ts.
 * - schema install: root creates missing directories where no other user can interfere
 *   (stores/home.ts, system/roots-way.ts), and gives them away by their descriptors; then
 *   dropPrivileges(). Only their owner opens the SQLite file with its journals, and relay-ctrl's
 *   directory.
 * - serve: root binds sockets (daemon/sockets/socket-file.ts), then becomeAccount(), then the
 *   spool, logs and stores.
 * - doctor: looks into directories of other users only with asAccount().
 * - `user = "root"`: root stays root, and rejects a spool (spool/lock.ts) or a SQLite file's
 *   directory (stores/sqlite/sqlite-file.ts) that others can change. In relay-ctrl's directory,
 *   which may be writable by all, it only creates (O_EXCL), renames and unlinks files, and opens
 *   them for reading with O_NOFOLLOW.
 * - start.ts, which Node runs first: reads compiled code from the spool with O_NOFOLLOW, and trusts
 *   only a file of this user with mode 0600; it writes the code at exit, as the configured user.
 * - The wrapper under Dovecot 1 is root, and bash has no O_NOFOLLOW: see bin/launcher/.
 *
 * In a spool to which all users may write (mode 1733), the spool's owner is in the position of
 * root: it trusts only its own files there (system/own-files.ts).
 */
import { userInfo } from "node:os";
import { ConfigError, EX, PopbsmtpError, hasCode, codeOf } from "../lib/errors.ts";

// @types/node has forgotten it
declare global {
  // eslint-disable-next-line typescript/no-namespace
  namespace NodeJS {
    interface Process {
      initgroups?: (user: string, extraGroup: number) => void;
    }
  }
}

/** A system account. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Undefined if only the numbers are known: then the account has no groups but `gid`. */
  readonly name?: string;
}

/** The accounts that root may become without the configuration, in this order. */
const FALLBACKS = ["popbsmtp", "nobody"] as const;

/**
 * Becomes the configured user for good: groups, group, user. Does nothing if this process is not
 * root, or `user` is root.
 *
 * Call it after reading the configuration and its password files, and before touching the spool or
 * the store.
 *
 * @param group the primary group, to which new files belong. Default: the user's own
 * @throws ConfigError if the user does not exist
 */
export function dropPrivileges(user: string, group?: number): void {
  if (!isRoot()) return;
  if (user !== "root") becomeAccount(accountOf(user), group);
  else if (group !== undefined) process.setegid?.(group);
}

/**
 * Becomes an account for good: groups, group, user. Only root can.
 *
 * @param group as for {@link dropPrivileges}
 * @throws PopbsmtpError (77) if the kernel does not permit it
 */
export function becomeAccount(account: Account, group = account.gid): void {
  const { uid, name = `user id ${uid}` } = account;
  try {
    takeGroups(account);
    process.setgid?.(group);
    process.setuid?.(uid);
  } catch (cause) {
    throw new PopbsmtpError(`user: cannot become ${name}: ${String(cause)}`, EX.NOPERM, { cause });
  }
}

/**
 * Does `work` with the rights of an account and no others, and is root again afterwards. So the
 * kernel decides what the account may do, and links lead no further than that. A process other than
 * root keeps its user.
 */
export function asAccount<T>(account: Account, work: () => T): T {
  if (!isRoot() || process.geteuid?.() !== 0) return work();
  const groups = process.getgroups?.() ?? [];
  const group = process.getegid?.() ?? 0;
  try {
    takeGroups(account);
    process.setegid?.(account.gid);
    process.seteuid?.(account.uid);
    return work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(group);
    process.setgroups?.(groups);
  }
}

function takeGroups({ name, gid }: Account): void {
  if (name === undefined) process.setgroups?.([gid]);
  else process.initgroups?.(name, gid);
}

/** Whether this process is root, which can become any user and give files away. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The configured user's account. Only root may ask. Throws ConfigError if it does not exist. */
export function accountOf(user: string): Account {
  const account = findAccount(user);
  if (account !== undefined) return account;
  throw new ConfigError([
    `user: there is no user ${user}; create it (useradd --system ${user}) or name another`,
  ]);
}

/** The account to use if the configured one is unknown. Only root may ask. */
export function fallbackAccount(): Account {
  for (const user of FALLBACKS) {
    const account = findAccount(user);
    if (account !== undefined) return account;
  }
  return { uid: 65_534, gid: 65_534 };
}

/**
 * The number of a group; undefined if it does not exist. Only root may ask. See {@link
 * findAccount}.
 */
export function findGroup(group: string): number | undefined {
  const own = process.getegid?.();
  try {
    process.setegid?.(group);
  } catch (error) {
    if (hasCode(error, "ERR_UNKNOWN_CREDENTIAL")) {
      return undefined;
    }
    throw error;
  }
  const found = process.getegid?.();
  if (own !== undefined) process.setegid?.(own);
  return found;
}

/**
 * The user and group of an account, from any of the system's sources; undefined if it does not
 * exist. Only root may ask.
 *
 * Node lacks getpwnam(3), but becoming a user by name, and asking for the current user, use the
 * same name service.
 */
export function findAccount(user: string): Account | undefined {
  if (!hasAccount(user)) return undefined;
  try {
    process.seteuid?.(user);
    const { uid, gid } = userInfo();
    return { uid, gid, name: user };
  } finally {
    process.seteuid?.(0);
  }
}

/** Whether a user exists. Any user may ask. */
export function hasAccount(user: string): boolean {
  const self = process.geteuid?.();
  try {
    process.seteuid?.(user);
  } catch (error) {
    // Node looks the name up first; the kernel then answers EPERM to all but root
    const code = codeOf(error);
    if (code === "ERR_UNKNOWN_CREDENTIAL") return false;
    if (code !== "EPERM") throw error;
  }
  if (self !== undefined) process.seteuid?.(self);
  return true;
}
