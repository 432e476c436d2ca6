/**
 * Where a log's lines are after logrotate(8) or its like has been there: under another name (`create`), in a copy (`copytruncate`),
 * in several of them. Compressed ones are not read.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { LogFile, type Place } from "./log-file.ts";

type FileIdentity = Pick<Place, "device" | "inode">;

/** A file that holds lines of the log. */
export interface Candidate extends FileIdentity {
  readonly path: string;
  readonly modified: number;
  readonly size: number;
}

/** The log, and what was the log at its path once, latest first. */
interface Scan {
  readonly current: Candidate | undefined;
  readonly rotated: readonly Candidate[];
}

/** Looks until nothing is being renamed: meanwhile a file may be seen under two names, or under none. */
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

/** Which file is called what. */
function names({ current, rotated }: Scan): string {
  const all = [...rotated, ...(current === undefined ? [] : [current])];
  return all
    .map(({ path, device, inode }) => `${path} ${device} ${inode}`)
    .toSorted()
    .join();
}

const COMPRESSED = /\.(?:gz|bz2|xz|zst|lz4)$/;

/** Whether something that was the log once is still there, compressed or not. */
export async function wasRotated(path: string): Promise<boolean> {
  const all = await readdir(dirname(path)).catch(() => []);
  return all.some((name) => isRotated(basename(path), name.replace(COMPRESSED, "")));
}

/** Whether a file of this name may be what the log was once: `mail.log.1`, `mail.log-20260303`, `mail-20260303.log`, `mail.log.old`. */
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
 * The file in which `place` is, opened there: the log itself, or what it has become; undefined where it cannot be found.
 *
 * @param without a file that is known not to be it
 */
export async function findPlace(
  path: string,
  place: Place,
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
  place: Place,
  without?: FileIdentity,
): Promise<LogFile | undefined> {
  const all = [...(current === undefined ? [] : [current]), ...rotated].filter(
    (file) => without === undefined || !isSame(file, without),
  );
  const itself = all.filter((file) => isSame(file, place));
  // an empty head is everybody's
  const alike = place.head.bytes === 0 ? [] : all.filter((file) => !itself.includes(file));
  for (const { path: name, size } of [...itself, ...alike]) {
    if (size < place.offset) continue;
    const file = await LogFile.reopen(name, place).catch((error: unknown) => {
      // of the rotated ones some may be of no use; that the log itself cannot be read has to be told
      if (name === path) throw error;
    });
    if (file !== undefined) return file;
  }
  return undefined;
}

/**
 * The file that follows upon `file` once that has been read; undefined while it is the log itself, or the log that has taken its place
 * is not there or empty: whoever writes may not know of it yet, and still write to the old one.
 */
export async function successor(path: string, file: LogFile): Promise<Candidate | undefined> {
  // by far the usual case
  const there = await candidate(path);
  if (there !== undefined && isSame(there, file.place)) return undefined;
  const { current, rotated } = await scan(path);
  const next = rotated.findLast(
    (other) => other.modified > file.modified && !isSame(other, file.place),
  );
  return next ?? (current !== undefined && current.size > 0 ? current : undefined);
}

/** The first of the log's files that was written to after `time` (milliseconds since 1970), opened at its beginning; else the log. */
export async function openSince(path: string, time: number): Promise<LogFile | undefined> {
  for (;;) {
    const { current, rotated } = await scan(path);
    const first = rotated.findLast(({ modified }) => modified > time) ?? current;
    if (first === undefined) return undefined;
    const file = await openCandidate(first);
    if (file !== undefined) return file;
  }
}

/** Opens a file; undefined where another one is there by now. */
export async function openCandidate(file: Candidate): Promise<LogFile | undefined> {
  const opened = await LogFile.open(file.path);
  if (opened === undefined || isSame(opened.place, file)) return opened;
  await opened[Symbol.asyncDispose]();
  return undefined;
}

function isSame(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.device === b.device;
}
