import { readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { EX, PopbsmtpError } from "../../lib/errors.ts";

/**
 * An error of opening or reading a log, with what to do about it. Errors other than the system's
 * stay as they are.
 */
export function unreadable(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("syscall" in cause)) return cause;
  const code = "code" in cause ? cause.code : undefined;
  const reason = code === "EACCES" ? `permission denied; ${remedy(path)}` : cause.message;
  return new PopbsmtpError(`${path}: ${reason}`, EX.NOPERM, { cause });
}

function remedy(path: string): string {
  const { username } = userInfo();
  try {
    const { gid, mode } = statSync(path);
    const group = groupName(gid);
    if (group !== undefined && gid !== 0 && (mode & 0o040) !== 0) {
      return `run: usermod -aG ${group} ${username}, and start popbsmtp again`;
    }
    return `let the user ${username} read it`;
  } catch {
    return `let the user ${username} enter its directory`;
  }
}

/** group(5) */
function groupName(gid: number): string | undefined {
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , id] = line.split(":");
    if (id === String(gid)) return name;
  }
  return undefined;
}
