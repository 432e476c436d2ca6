import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  mkdirSync,
  openSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";

/** To whom a database file belongs that root creates: the account that writes, and the group of those who may read. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Creates the database's file, empty, and its directory, where they are missing. SQLite gives the files -wal and -shm the mode,
 * and as root the owner, of this one.
 *
 * @param owner default: the directory's, where root creates the file; nobody else may give files away
 */
export function createDatabaseFile(path: string, owner: Owner | undefined): void {
  const directory = dirname(path);
  if (!existsSync(directory)) {
    mkdirSync(directory, { recursive: true });
    // the owner first: chown(2) clears the bit that hands the group down to the files
    if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
    // not at mkdir: there the umask would have its say
    chmodSync(directory, 0o2750);
  }
  const file = create(path);
  if (file === undefined) return;
  try {
    if (process.getuid?.() === 0) {
      const { uid, gid } = owner ?? statSync(directory);
      fchownSync(file, uid, gid);
    }
    fchmodSync(file, 0o640);
  } finally {
    closeSync(file);
  }
}

/** A descriptor of the new file, or undefined where it was there already. */
function create(path: string): number | undefined {
  try {
    return openSync(path, "ax", 0o600);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return undefined;
    throw error;
  }
}
