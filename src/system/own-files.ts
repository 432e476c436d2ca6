/**
 * Files and directories that can be trusted in a spool in which other users can create files (mode
 * 1733): those of this process's user, which others cannot replace, since the directory is sticky.
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

/** The largest file that is read whole, in bytes. */
const BYTES = 4096;

/**
 * Creates a directory if it is missing. Throws if its name belongs to a link, or to a directory
 * that other users can change.
 */
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

/** Whether a directory exists, and other users cannot change its contents. */
export function isOwnDirectory(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return (
    stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o022) === 0
  );
}

/**
 * The contents of a file of this process's user; empty if it is not a file, or another user's.
 * Neither follows links nor waits for a FIFO.
 */
export function readOwnFile(path: string): Buffer {
  const stats = lstatSync(path);
  if (!stats.isFile() || stats.uid !== process.geteuid?.()) return Buffer.alloc(0);
  return readFileSync(path, { flag: flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK });
}

/**
 * The contents of a small file of any user. Throws if it is not a file; neither follows links nor
 * waits for a FIFO.
 */
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
