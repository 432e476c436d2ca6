/**
 * Who this process is, and how root becomes somebody else.
 *
 * Root never works in a directory in which somebody else can put links, FIFOs or files of theirs in its way. That is all there is to it;
 * what follows says how each part keeps to it. test/integration/links.test.ts attacks them.
 *
 * - Configuration, password files, dracd.allow, Postfix's map file: read by root, before anything else. They and their
 *   directories are root's (`doctor` looks).
 * - drain, purge, list, check, allow, revoke, watch, relay --ask: dropPrivileges(), then the spool, the mail log and the store. All
 *   these go through enter() in commands/context.ts.
 * - schema install: root makes the directories that are missing, where nobody else can interfere (stores/home.ts, system/roots-way.ts), and
 *   gives them away by their descriptors; then dropPrivileges(). The SQLite file with its journals, and relay-ctrl's directory, are
 *   only ever opened by their owner.
 * - serve: root binds sockets (daemon/sockets/socket-file.ts), then becomeAccount(), then spool, logs and stores.
 * - doctor: looks into others' directories with asAccount() only.
 * - `user = "root"`: then root stays root, and refuses a spool (spool/lock.ts) or a SQLite file's directory (stores/sqlite/sqlite-driver.ts)
 *   that others can change. In relay-ctrl's, which may be everybody's, it only creates (O_EXCL), renames and unlinks, and opens
 *   for reading with O_NOFOLLOW.
 * - start.ts, which Node runs first: reads compiled code from the spool, with O_NOFOLLOW, and believes only a file that is this user's and
 *   0600; it writes some at the exit, as the configured user.
 * - The wrapper under Dovecot 1 is root, and bash cannot say O_NOFOLLOW: see bin/launcher/.
 *
 * A spool into which everybody may put logins (mode 1733) is the same to its owner as that owner's would be to root: there only what
 * belongs to this user is trusted (system/own-files.ts).
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
  /** Undefined where only the numbers are known: then it has no groups but `gid`. */
  readonly name?: string;
}

/** Whom root becomes where the configuration does not say, in this order. */
const FALLBACKS = ["popbsmtp", "nobody"] as const;

/**
 * Becomes the configured user, for good: groups, group, user. Does nothing where this process is not root, or is meant to stay it.
 *
 * Call it after the configuration and its password files were read, and before the spool or the store is touched.
 *
 * @param group the group to be in front, which new files belong to. Default: the user's own
 * @throws ConfigError where there is no such user
 */
export function dropPrivileges(user: string, group?: number): void {
  if (!isRoot()) return;
  if (user !== "root") becomeAccount(accountOf(user), group);
  else if (group !== undefined) process.setegid?.(group);
}

/**
 * Becomes an account for good: groups, group, user. Only root may.
 *
 * @param group as of {@link dropPrivileges}
 * @throws PopbsmtpError (77) where the kernel does not let this process
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
 * Does `work` with the rights of an account and no others, and is root again afterwards: so the kernel itself says what that account
 * may do, and no link leads further than that. Where this process is not root it stays what it is.
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

/** Whether this process is root, who may become and give files to anybody. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The configured user's account. Only root may ask. Throws ConfigError where there is none. */
export function accountOf(user: string): Account {
  const account = findAccount(user);
  if (account !== undefined) return account;
  throw new ConfigError([
    `user: there is no user ${user}; create it (useradd --system ${user}) or name another`,
  ]);
}

/** The account to become where the configured one is not known. Only root may ask. */
export function fallbackAccount(): Account {
  for (const user of FALLBACKS) {
    const account = findAccount(user);
    if (account !== undefined) return account;
  }
  return { uid: 65_534, gid: 65_534 };
}

/** A group's number, or undefined where there is none of this name. Only root may ask. See {@link findAccount}. */
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
 * The user and group of an account, from wherever the system has its accounts, or undefined. Only root may ask.
 *
 * Node has no getpwnam(3), but becoming somebody by name, and asking who that is, goes through the same name service.
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

/** Whether there is such a user. Anybody may ask. */
export function hasAccount(user: string): boolean {
  const self = process.geteuid?.();
  try {
    process.seteuid?.(user);
  } catch (error) {
    // it is looked up before the kernel is asked, which says EPERM to all but root
    const code = codeOf(error);
    if (code === "ERR_UNKNOWN_CREDENTIAL") return false;
    if (code !== "EPERM") throw error;
  }
  if (self !== undefined) process.seteuid?.(self);
  return true;
}
