import { closeSync, constants as flags, fchmodSync, openSync } from "node:fs";
import { hasCode } from "../../lib/errors.ts";

/**
 * Creates the database's file, empty, where it is missing. SQLite gives the files -wal and -shm its mode; their group, as this
 * file's, is that of the directory where that hands it down, else this process's.
 */
export function createDatabaseFile(path: string): void {
  let file;
  try {
    file = openSync(path, flags.O_WRONLY | flags.O_CREAT | flags.O_EXCL, 0o600);
  } catch (error) {
    if (hasCode(error, "EEXIST")) return;
    throw error;
  }
  try {
    // not at open: there the umask would have its say
    fchmodSync(file, 0o640);
  } finally {
    closeSync(file);
  }
}
