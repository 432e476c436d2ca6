import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { Login } from "../login/login.ts";
import { formatEntry } from "./entry.ts";
import { ownDirectory } from "../system/own-files.ts";

/**
 * Creates a missing spool of one of several stores, but not the spool that contains it, which has
 * been moved away for a while.
 */
export function makeSpool(path: string): void {
  for (const directory of [dirname(path), path]) {
    ownDirectory(directory, 0o700);
  }
}

/**
 * Puts logins into the spool of one of several stores.
 *
 * A file is complete from the start, since it may be about an old login. Its name follows from its
 * contents: no wrapper waits for its removal, and the same login after a crash is the same file.
 *
 * @throws if that fails; some logins may be in the spool then
 */
export function keep(path: string, logins: readonly Login[]): void {
  const unfinished = join(path, `.new-${process.pid}`);
  for (const login of logins) {
    const bytes = formatEntry(login);
    const file = placeFor(path, Math.round(login.time * 1000), bytes);
    if (file === undefined) continue;
    try {
      rmSync(unfinished, { force: true });
      writeFileSync(unfinished, bytes, { mode: 0o600, flag: "wx" });
      renameSync(unfinished, file);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
  }
}

/** undefined if the login is there already. */
function placeFor(path: string, microseconds: number, bytes: Buffer): string | undefined {
  for (let time = microseconds; ; time++) {
    const file = join(path, `${time}.${crc32(bytes)}`);
    if (!existsSync(file)) return file;
    const there = readIfThere(file);
    if (there === undefined || there.equals(bytes)) return undefined;
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    // it has just been drained
    return undefined;
  }
}
