/**
 * Finds the lines of a log after logrotate(8) or a similar program: in a renamed file (`create`),
 * in a copy (`copytruncate`), or in several. Compressed files are not read.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { LogFile, type LogPosition } from "./log-file.ts";

type FileIdentity = Pick<LogPosition, "device" | "inode">;

/** A file that contains lines of the log. */
export interface Candidate extends FileIdentity {
  readonly path: string;
  readonly modified: number;
  readonly size: number;
}

/** The log, and the files that were the log before, latest first. */
interface Scan {
  readonly current: Candidate | undefined;
  readonly rotated: readonly Candidate[];
}

/**
 * Repeats until no rename is in progress: during one, a file may be seen under two names, or under
 * none.
 */
async function scan(path: string): Promise<Scan> {
  let seen = await look(path);
  for (;;) {
    const again = await look(path);
    if (names(again) === names(seen)) return again;
    seen = again;
  }
}

async function look(path: string): Promise<Scan> {
  const directory = dirname(path);
  const others = (await readdir(directory)).filter((name) => isRotated(basename(path), name));
  const found = await Promise.all(others.map((name) => candidate(join(directory, name))));
  return {
    current: await candidate(path),
    rotated: found.filter((file) => file !== undefined).toSorted((a, b) => b.modified - a.modified),
  };
}

/** The files and their names. */
function names({ current, rotated }: Scan): string {
  const all = [...rotated, ...(current === undefined ? [] : [current])];
  return all
    .map(({ path, device, inode }) => `${path} ${device} ${inode}`)
    .toSorted()
    .join();
}

const COMPRESSED = /\.(?:gz|bz2|xz|zst|lz4)$/;

/** Whether an earlier file of the log still exists, compressed or not. */
export async function wasRotated(path: string): Promise<boolean> {
  const all = await readdir(dirname(path)).catch(() => []);
  return all.some((name) => isRotated(basename(path), name.replace(COMPRESSED, "")));
}

/**
 * Whether a file of this name may be an earlier file of the log: `mail.log.1`, `mail.log-20260303`,
 * `mail-20260303.log`, `mail.log.old`.
 */
export function isRotated(log: string, name: string): boolean {
  const extension = extname(log);
  const stem = log.slice(0, log.length - extension.length);
  for (const [before, after] of [
    [log, ""],
    [stem, extension],
  ] as const) {
    if (!name.startsWith(before) || !name.endsWith(after)) continue;
    const between = name.slice(before.length, name.length - after.length);
    if (/^[.-]\d[\d.:_T-]*$|^\.old$/.test(between)) return true;
  }
  return false;
}

async function candidate(path: string): Promise<Candidate | undefined> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined);
  if (stats?.isFile() !== true) return undefined;
  return {
    path,
    device: String(stats.dev),
    inode: String(stats.ino),
    modified: Number(stats.mtimeNs / 1000n) / 1000,
    size: Number(stats.size),
  };
}

/**
 * Opens the file that contains `place`, at that place: the log, or the file that it has become.
 * undefined if there is none.
 *
 * @param without a file that is known to be another
 */
export async function findPlace(
  path: string,
  place: LogPosition,
  without?: FileIdentity,
): Promise<LogFile | undefined> {
  let seen = await scan(path);
  for (;;) {
    const file = await openPlace(path, seen, place, without);
    if (file !== undefined) return file;
    const again = await scan(path);
    if (names(again) === names(seen)) return undefined;
    seen = again;
  }
}

async function openPlace(
  path: string,
  { current, rotated }: Scan,
  place: LogPosition,
  without?: FileIdentity,
): Promise<LogFile | undefined> {
  const all = [...(current === undefined ? [] : [current]), ...rotated].filter(
    (file) => without === undefined || !isSame(file, without),
  );
  const itself = all.filter((file) => isSame(file, place));
  // an empty head matches every file
  const alike = place.head.bytes === 0 ? [] : all.filter((file) => !itself.includes(file));
  for (const { path: name, size } of [...itself, ...alike]) {
    if (size < place.offset) continue;
    const file = await LogFile.reopen(name, place).catch((error: unknown) => {
      // an unreadable rotated file may not matter, but an unreadable log does
      if (name === path) throw error;
    });
    if (file !== undefined) return file;
  }
  return undefined;
}

/**
 * The file that follows `file` once that has been read. undefined while `file` is still the log, or
 * the log at its path is missing or empty: the writer may not have noticed the rotation, and still
 * write to the old file.
 */
export async function successor(path: string, file: LogFile): Promise<Candidate | undefined> {
  // by far the most common case
  const there = await candidate(path);
  if (there !== undefined && isSame(there, file.place)) return undefined;
  const { current, rotated } = await scan(path);
  const next = rotated.findLast(
    (other) => other.modified > file.modified && !isSame(other, file.place),
  );
  return next ?? (current !== undefined && current.size > 0 ? current : undefined);
}

/**
 * Opens the first file of the log that was written to after `time` (milliseconds since 1970), at
 * its beginning; if there is none, the log.
 */
export async function openSince(path: string, time: number): Promise<LogFile | undefined> {
  for (;;) {
    const { current, rotated } = await scan(path);
    const first = rotated.findLast(({ modified }) => modified > time) ?? current;
    if (first === undefined) return undefined;
    const file = await openCandidate(first);
    if (file !== undefined) return file;
  }
}

/** Opens a file; undefined if another has replaced it. */
export async function openCandidate(file: Candidate): Promise<LogFile | undefined> {
  const opened = await LogFile.open(file.path);
  if (opened === undefined || isSame(opened.place, file)) return opened;
  await opened[Symbol.asyncDispose]();
  return undefined;
}

function isSame(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.device === b.device;
}
