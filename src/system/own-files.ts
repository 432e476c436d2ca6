/**
 * What may be trusted in a spool into which others can put files, too (mode 1733): what belongs to this process's user. It stays where
 * it is, since the directory is sticky.
 */
import {
  closeSync,
  constants as flags,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
} from "node:fs";
import { hasCode } from "../lib/errors.ts";

/** More than any file that is read whole may hold. */
const BYTES = 4096;

/** Makes a directory where it is missing. Throws where what is there is a link, or may be changed by others. */
export function ownDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    if (!isOwnDirectory(path)) {
      throw new Error(
        `${path}: is not a directory that only user id ${process.geteuid?.()} may change; remove it`,
        {
          cause: error,
        },
      );
    }
  }
}

/** Whether there is a directory, and nobody else may change what is in it. */
export function isOwnDirectory(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return (
    stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o022) === 0
  );
}

/** What is in a file of this process's user; nothing where it is no file, or another user's. Neither follows a link nor waits for a FIFO. */
export function readOwnFile(path: string): Buffer {
  const stats = lstatSync(path);
  if (!stats.isFile() || stats.uid !== process.geteuid?.()) return Buffer.alloc(0);
  return readFileSync(path, { flag: flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK });
}

/** What is in a small file, whoever wrote it. Throws where it is no file; neither follows a link nor waits for a FIFO's other end. */
export function readSmallFile(path: string): string {
  const file = openSync(path, flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) throw new Error(`${path}: not a file`);
    const bytes = Buffer.alloc(BYTES);
    return bytes.toString("utf8", 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}
