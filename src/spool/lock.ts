/** At most one drain at a time works on a spool. */
import { closeSync, constants as flags, fstatSync, lstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EX, PopbsmtpError } from "../lib/errors.ts";
import { whyNotForRoot } from "../system/roots-way.ts";

/** A lock that ends with the process that holds it, however that ends. */
export interface SpoolLock {
  /** A descriptor of the lock's file, open as long as the lock is held: by it others can tell that the holder is alive. */
  readonly descriptor: number;
  /** Whether this is still the lock of what is at the spool's path now, which may have been moved away, or made anew. */
  isInPlace(): boolean;
  release(): void;
}

/**
 * Takes the lock of the spool at `path`, or undefined where another process holds it.
 *
 * Node has no fcntl(2) locks; SQLite does, and it is in Node. The database stays empty.
 *
 * @throws PopbsmtpError (77) where the spool is missing or may not be written to
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
    // not before: closing any descriptor of a file ends the locks that a process has on it (fcntl(2))
    if (descriptor !== undefined) closeSync(descriptor);
  };
  try {
    // whoever could read it could lock it
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
      `spool: ${path}: cannot be written to by user id ${process.getuid?.()}; it should be a directory of the user that \`user\` names`,
      EX.NOPERM,
      { cause },
    );
  }
}

/**
 * The same, but waits while the holder is on its way out: it has withdrawn, and may not see a login written now.
 *
 * @param signal ends the waiting
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
