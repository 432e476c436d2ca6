/** Which users can read the passwords, and which can change what root runs. */
import { existsSync, statSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import type { Account } from "../../system/privileges.ts";
import { becoming, whyNotReadable } from "./becoming.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";
import { groupName, octal, shellWord, userName } from "./words.ts";

/**
 * Checks a file of the configuration: only root and the configured user may own or write it, and if
 * it contains a secret, only they may read it. undefined if the file does not exist, or this
 * process cannot examine it.
 */
export function configurationFile(
  path: string,
  { secret, account }: { readonly secret: boolean; readonly account: Account | undefined },
): Finding | undefined {
  const stats = statsOf(path);
  if (stats === undefined) return undefined;
  const { uid, gid, mode } = stats;
  const ours = [0, account?.uid];
  const group = shellWord(groupName(account?.gid ?? 0));
  const mend = secret
    ? [`chown root:${group} ${shellWord(path)}`, `chmod 640 ${shellWord(path)}`]
    : [`chown root ${shellWord(path)}`, `chmod go-w ${shellWord(path)}`];
  if (!ours.includes(uid)) {
    return problem(`${path} belongs to ${userName(uid)}, who may change it`, ...mend);
  }
  if ((mode & 0o002) !== 0) return problem(`${path}: every user may change it`, ...mend);
  const foreign = gid !== 0 && gid !== account?.gid;
  if (foreign && (mode & 0o020) !== 0) {
    return problem(`${path}: the group ${groupName(gid)} may change it`, ...mend);
  }
  if (secret && (mode & 0o004) !== 0) {
    return problem(`${path}: every user may read the password in it`, ...mend);
  }
  if (secret && foreign && (mode & 0o040) !== 0) {
    return warning(`${path}: the group ${groupName(gid)} may read the password in it`, ...mend);
  }
  return ok(`${path}: ${ownership(stats)}`);
}

/**
 * Files that the daemon cannot read again at a reload: at its start it reads them as root, later as
 * the configured user.
 *
 * @param daemon the process id of the running daemon
 */
export function unreadableFindings(
  files: readonly string[],
  user: string,
  account: Account,
  daemon: number | undefined,
): readonly Finding[] {
  return files.flatMap((path) => {
    const why = becoming(user, account, () => whyNotReadable(path));
    if (why === undefined || why === "ENOENT") return [];
    const word = shellWord(path);
    const advice = `chgrp ${shellWord(groupName(account.gid))} ${word} && chmod g+r ${word}    # and x on its directories: namei -l ${word}`;
    const text = `${path}: ${user} cannot read it (${why}), but popbsmtp reads it as that user`;
    return daemon === undefined
      ? [warning(`${text} at a reload of popbsmtp serve, and when systemd starts that`, advice)]
      : [problem(`${text} at the next reload: popbsmtp serve will refuse it`, advice)];
  });
}

/** Checks that only root can replace the program, which root runs, or a directory on its path. */
export function programFile(path: string): Finding {
  for (let at = path; ; at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    const subject = at === path ? path : `${path}: ${at}`;
    const word = shellWord(at);
    if (uid !== 0) {
      return problem(
        `${subject} belongs to ${userName(uid)}, who may replace the program`,
        `chown root ${word}`,
      );
    }
    // in a sticky directory such as /tmp, users can replace only their own files
    const sticky = at !== path && (mode & 0o1000) !== 0;
    if (!sticky && (mode & 0o002) !== 0) {
      return problem(`${subject}: every user may replace the program`, `chmod go-w ${word}`);
    }
    if (!sticky && (mode & 0o020) !== 0 && gid !== 0) {
      return warning(
        `${subject}: the group ${groupName(gid)} may replace the program`,
        `chmod g-w ${word}`,
      );
    }
    if (at === "/") return ok(`${path}: only root may change it`);
  }
}

function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** The account of drains and wrappers. */
export function userFinding(user: string, account: Account | undefined): Finding {
  if (account !== undefined) return ok(`the user ${user} exists`);
  const nologin = ["/usr/sbin/nologin", "/sbin/nologin"].find((shell) => existsSync(shell));
  return problem(
    `there is no user ${user}`,
    `useradd --system --user-group --no-create-home --shell ${nologin ?? "/bin/false"} ${user}`,
  );
}

/** "0640, root:popbsmtp" */
export function ownership({ mode, uid, gid }: Stats): string {
  return `${octal(mode)}, ${userName(uid)}:${groupName(gid)}`;
}
