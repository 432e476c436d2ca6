import { closeSync, constants, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asAccount, type Account } from "../../system/privileges.ts";

/**
 * Does `work` as another user, with that user's groups, and is root again afterwards: {@link
 * asAccount}.
 */
export function becoming<T>(user: string, account: Account, work: () => T): T {
  return asAccount({ ...account, name: user }, work);
}

/** The reason why this process cannot read a file ("EACCES"); undefined if it can. */
export function whyNotReadable(path: string): string | undefined {
  // opening a FIFO would block until a writer appears
  return whyNot(() => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
}

/**
 * The reason why this process cannot create files in a directory ("EACCES", "ENOSPC", "EROFS"),
 * found by creating one.
 */
export function whyNotWritable(directory: string): string | undefined {
  const file = join(directory, `.doctor.${String(process.pid)}`);
  try {
    // a full file system may still accept an empty file
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
