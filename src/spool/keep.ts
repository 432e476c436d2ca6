import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { Login } from "../login/login.ts";
import { formatEntry } from "./entry.ts";
import { ownDirectory } from "../system/own-files.ts";

/** Makes one of several stores' spool where it is missing; not the spool that it is part of, which is only elsewhere for a while. */
export function makeSpool(path: string): void {
  for (const directory of [dirname(path), path]) {
    ownDirectory(directory, 0o700);
  }
}

/**
 * Puts logins into one of several stores' spool.
 *
 * A file is complete from its first moment, since it may be about an old login, and its name is made from what is in it: nobody waits for
 * it to go, and the same login again, after a crash, is the same file.
 *
 * @throws where that cannot be done; some may be there then
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

/** undefined where the login is there already. */
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
