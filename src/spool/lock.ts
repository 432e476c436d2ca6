/** Only one drain at a time works on a spool. */
import { closeSync, constants as flags, fstatSync, lstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EX, PopbsmtpError } from "../lib/errors.ts";
import { whyNotForRoot } from "../system/roots-way.ts";

/** A lock that ends with its process, in whatever way that ends. */
export interface SpoolLock {
  /**
   * A descriptor of the lock's file, open while the lock is held, which shows other processes that
   * the holder is alive.
   */
  readonly descriptor: number;
  /**
   * Whether this lock is still that of the directory at the spool's path, which may have been moved
   * away or replaced.
   */
  isInPlace(): boolean;
  release(): void;
}

/**
 * Takes the lock of the spool at `path`; undefined if another process holds it.
 *
 * Node has no fcntl(2) locks, but contains SQLite, which has. The database stays empty.
 *
 * @throws PopbsmtpError (77) if the spool is missing or cannot be written to
 */
async function lockSpool(path: string): Promise<SpoolLock | undefined> {
  const { DatabaseSync } = await import("node:sqlite");
  const refusal = whyNotForRoot(path, "spool");
  if (refusal !== undefined) throw new PopbsmtpError(refusal, EX.NOPERM);
  const file = join(path, ".lock");
  let descriptor: number | undefined;
  let database: InstanceType<typeof DatabaseSync> | undefined;
  const release = () => {
    database?.close();
    // not earlier: closing any descriptor of a file ends the locks of the process on it (fcntl(2))
    if (descriptor !== undefined) closeSync(descriptor);
  };
  try {
    // a user who can read the file can lock it
    descriptor = openSync(
      file,
      flags.O_WRONLY | flags.O_CREAT | flags.O_NOFOLLOW | flags.O_NONBLOCK,
      0o600,
    );
    const { uid } = fstatSync(descriptor);
    if (uid !== process.geteuid?.()) throw new Error(`${file}: belongs to user id ${uid}`);
    database = new DatabaseSync(file);
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    const isInPlace = () => {
      const there = lstatSync(file, { bigint: true, throwIfNoEntry: false });
      return there?.ino === ino && there.dev === dev;
    };
    return { descriptor, isInPlace, release };
  } catch (cause) {
    release();
    if (isBusy(cause)) return undefined;
    throw new PopbsmtpError(
      `spool: ${path}: cannot be written to by user id ${process.getuid?.()}; it must belong to the user named in \`user\``,
      EX.NOPERM,
      { cause },
    );
  }
}

/**
 * The same, but waits while the holder is exiting: it has withdrawn, and may miss a login that is
 * written now.
 *
 * @param signal ends the wait
 */
export async function lockSpoolSoon(
  path: string,
  isLeaving: () => boolean,
  signal?: AbortSignal,
): Promise<SpoolLock | undefined> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const lock = await lockSpool(path);
    if (lock !== undefined || !isLeaving() || signal?.aborted === true) return lock;
    await sleep(10);
  }
  return undefined;
}

function isBusy(error: unknown): boolean {
  // SQLITE_BUSY
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}
