/** What keeps a daemon from draining its spool: other processes, and the spool itself. */
import { accessSync, constants, statSync } from "node:fs";
import { EX, PopbsmtpError, codeOf } from "../lib/errors.ts";
import { GIVE_WAY } from "../spool/drain-notices.ts";
import type { Spool } from "../spool/spool.ts";
import { whyNotForRoot } from "../system/roots-way.ts";

/** The message that another daemon drains the spool; undefined if none does. */
export function anotherDaemon(spool: Spool): string | undefined {
  const pid = spool.drain.atWork("serve");
  return pid === undefined || pid === process.pid
    ? undefined
    : `spool: ${spool.path}: another popbsmtp serve (process ${pid}) is using it; stop that daemon first`;
}

/** Why this process cannot write to a spool; undefined if it can. */
export function whyNotWritable(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return `spool: ${path}: is not a directory; move it away`;
    const refusal = whyNotForRoot(path, "spool");
    if (refusal !== undefined) return refusal;
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    const user = `user id ${process.geteuid?.()}`;
    return code === "ENOENT"
      ? `spool: ${path}: does not exist; create it for the user named in \`user\`: install -d -m 0700 -o USER ${path}`
      : `spool: ${path}: cannot be written to by ${user} (${String(code)}); it must belong to the user named in \`user\``;
  }
}

/** @throws PopbsmtpError (75) if another daemon drains this spool */
export function refuseAnother(spool: Spool): void {
  const another = anotherDaemon(spool);
  if (another !== undefined) throw new PopbsmtpError(another, EX.TEMPFAIL);
}

/** Asks a lingering drain to leave, once: at a second signal it would drop its work. */
export function makeRoom(spool: Spool): void {
  for (const kind of ["drain", "watch"] as const) {
    const drain = spool.drain.atWork(kind);
    try {
      if (drain !== undefined) process.kill(drain, GIVE_WAY[kind]);
    } catch {
      // it has just left, or belongs to another user: wait for its lock in any case
    }
  }
}
