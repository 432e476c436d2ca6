/**
 * Follows a log through renaming, truncation and absence, from the place where it was last read.
 */
import { LogFile, type Lines, type LogPosition } from "./log-file.ts";
import { findPlace, wasRotated, openCandidate, openSince, successor } from "./rotation.ts";
import { WakeUp } from "./wake-up.ts";

export interface FollowOptions {
  /** The log, which need not exist yet. */
  readonly path: string;
  /**
   * Where to begin: at a place, or with lines written after a time (milliseconds since 1970).
   * Default: at the beginning of the log as it is.
   */
  readonly from?: LogPosition | number | undefined;
  /** Stop at the end of the log. Default: wait for more. */
  readonly once?: boolean;
  /** Stops after the current lines. */
  readonly signal: AbortSignal;
  /** Takes lines in order, and the place to resume from. An exception ends the following. */
  readonly take: (lines: Lines) => Promise<void> | void;
  /**
   * Called when a part of the log cannot be found any more: `place` is the last that was read of
   * it.
   */
  readonly onGap?: (place: LogPosition) => void;
  /**
   * Called once in this process if the kernel does not announce changes, with what to do about it.
   */
  readonly onPolling?: ((reason: string) => void) | undefined;
  /**
   * Called when lines may be missing before the next one: any number of them, or those of the last
   * instant.
   */
  readonly onBreak?: (lost: "all" | "last") => void;
}

/**
 * Returns at `signal`, or with `once` at the end of the log.
 *
 * It reads every line: after a rename it reads the old file to its end, which is reached when the
 * new one is no longer empty; after a truncation it reads the copy, if there is one. Lost are only
 * files that are compressed or deleted before they are read, and lines written between a copy and
 * its truncation.
 *
 * @throws the errors of opening and reading the log, except that it is missing
 */
export async function follow(options: FollowOptions): Promise<void> {
  const { path, from, signal, once = false, onBreak, onPolling = () => undefined } = options;
  using wakeUp = new WakeUp(path, onPolling);
  let file = await begin(path, from, options);
  const read = new Set([typeof from === "object" ? from.inode : undefined, file?.place.inode]);
  try {
    while (!signal.aborted) {
      wakeUp.arm();
      const next = file === undefined ? await LogFile.open(path) : await readOn(options, file);
      if (next !== undefined) {
        await file?.[Symbol.asyncDispose]();
        file = next;
        const { inode, offset } = file.place;
        // truncated: lines written just before are in no copy
        if (offset === 0 && read.has(inode)) onBreak?.("last");
        read.add(inode);
      } else if (once) {
        return;
      } else {
        await wakeUp.wait(signal);
      }
    }
  } finally {
    await file?.[Symbol.asyncDispose]();
  }
}

async function begin(
  path: string,
  from: LogPosition | number | undefined,
  { onGap, onBreak }: FollowOptions,
): Promise<LogFile | undefined> {
  if (from === undefined) return LogFile.open(path);
  if (typeof from === "number") {
    if (await wasRotated(path)) onBreak?.("last");
    return openSince(path, from);
  }
  const file = await findPlace(path, from);
  if (file !== undefined) return file;
  onGap?.(from);
  onBreak?.("all");
  return openSince(path, from.modified);
}

/**
 * Reads the file to its end. Returns the next file of the log; undefined if the log continues in
 * this one.
 */
async function readOn(options: FollowOptions, file: LogFile): Promise<LogFile | undefined> {
  while (await readAll(options, file)) {
    const next = await successor(options.path, file);
    if (next === undefined || options.signal.aborted) return undefined;
    // lines written before the next file was started
    if (!(await readAll(options, file))) break;
    const opened = await openCandidate(next);
    if (opened !== undefined) return opened;
  }
  // truncated; without a copy, the administrator meant to delete the lines
  return (await findPlace(options.path, file.place, file.place)) ?? LogFile.open(options.path);
}

/** False if the file has been replaced. */
async function readAll({ signal, take }: FollowOptions, file: LogFile): Promise<boolean> {
  while (!signal.aborted) {
    const found = await file.read();
    if (found === "replaced") return false;
    if (found === "end") return true;
    await take(found);
    file.pass(found);
  }
  return true;
}
