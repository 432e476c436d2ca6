import { userInfo } from "node:os";
import { ConfigError, EX, PopbsmtpError } from "./errors.ts";

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
}

/**
 * Becomes the configured user, for good: groups, group, user. Does nothing where this process is not root, or is meant to stay it.
 *
 * Call it after the configuration and its password files were read, and before the spool or the store is touched.
 *
 * @throws ConfigError where there is no such user
 */
export function dropPrivileges(user: string): void {
  const { initgroups, setgid, setuid } = process;
  if (!isRoot() || user === "root") return;
  if (initgroups === undefined || setgid === undefined || setuid === undefined) return;
  const { uid, gid } = accountOf(user);
  try {
    initgroups(user, gid);
    setgid(gid);
    setuid(uid);
  } catch (cause) {
    throw new PopbsmtpError(`user: cannot become ${user}: ${String(cause)}`, EX.NOPERM, { cause });
  }
}

/** Becomes an account that is named by its numbers, for good, with no other groups. Only root may. */
export function becomeAccount({ uid, gid }: Account): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
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

/**
 * The user and group of an account, from wherever the system has its accounts, or undefined. Only root may ask.
 *
 * Node has no getpwnam(3), but becoming somebody by name, and asking who that is, goes through the same name service.
 */
export function findAccount(user: string): Account | undefined {
  try {
    process.seteuid?.(user);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_UNKNOWN_CREDENTIAL") {
      return undefined;
    }
    throw error;
  }
  try {
    const { uid, gid } = userInfo();
    return { uid, gid };
  } finally {
    process.seteuid?.(0);
  }
}
