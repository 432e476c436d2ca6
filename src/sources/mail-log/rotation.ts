/**
 * Where a log's lines are after logrotate(8) or its like has been there: under another name (`create`), in a copy (`copytruncate`),
 * in several of them. Compressed ones are not read.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { LogFile, type Place } from "./log-file.ts";

/** A file that holds lines of the log. */
export interface Candidate {
  readonly path: string;
  readonly device: string;
  readonly inode: string;
  readonly modified: number;
  readonly size: number;
}

/** What was the log at `path` once: `mail.log.1`, `mail.log-20260303`, `mail-20260303.log`, `mail.log.old`; latest first. */
async function rotated(path: string): Promise<readonly Candidate[]> {
  const directory = dirname(path);
  const names = (await readdir(directory)).filter((name) => isRotated(basename(path), name));
  const found = await Promise.all(names.map((name) => candidate(join(directory, name))));
  return found.filter((file) => file !== undefined).toSorted((a, b) => b.modified - a.modified);
}

/** Whether a file of this name may be what the log was once. */
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
  without?: Pick<Place, "device" | "inode">,
): Promise<LogFile | undefined> {
  const current = await candidate(path);
  const all = [...(current === undefined ? [] : [current]), ...(await rotated(path))].filter(
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
  const current = await candidate(path);
  if (current !== undefined && isSame(current, file.place)) return undefined;
  const [next] = await newer(path, file.modified, file.place);
  if (next !== undefined) return next;
  return current !== undefined && current.size > 0 ? current : undefined;
}

/** What the log was in files that have been written to after `time` (milliseconds since 1970), oldest first. */
export async function newer(
  path: string,
  time: number,
  without?: Pick<Place, "device" | "inode">,
): Promise<readonly Candidate[]> {
  const files = await rotated(path);
  return files
    .filter((file) => file.modified > time && (without === undefined || !isSame(file, without)))
    .toReversed();
}

/** Opens a file; undefined where another one is there by now. */
export async function openCandidate(file: Candidate): Promise<LogFile | undefined> {
  const opened = await LogFile.open(file.path);
  if (opened === undefined || isSame(opened.place, file)) return opened;
  await opened[Symbol.asyncDispose]();
  return undefined;
}

function isSame(a: Pick<Place, "device" | "inode">, b: Pick<Place, "device" | "inode">): boolean {
  return a.inode === b.inode && a.device === b.device;
}
