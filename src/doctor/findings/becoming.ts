import { closeSync, constants, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asAccount, type Account } from "../../system/privileges.ts";

/** Does `work` as somebody else, whose groups the system knows, and is root again afterwards: {@link asAccount}. */
export function becoming<T>(user: string, account: Account, work: () => T): T {
  return asAccount({ ...account, name: user }, work);
}

/** Why this process may not read a file ("EACCES"), or undefined: it may. */
export function whyNotReadable(path: string): string | undefined {
  // a FIFO without a writer would be waited for
  return whyNot(() => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
}

/** Why this process may not make files in a directory ("EACCES", "ENOSPC", "EROFS"), found out by making one. */
export function whyNotWritable(directory: string): string | undefined {
  const file = join(directory, `.doctor.${String(process.pid)}`);
  try {
    // on a full file system an empty file may still have room
    return whyNot(() => writeFileSync(file, "\n", { mode: 0o600, flag: "wx" }));
  } finally {
    rmSync(file, { force: true });
  }
}

function whyNot(attempt: () => void): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") {
      return error.code;
    }
    throw error;
  }
}
