/** Follows a log: through renaming, truncation and absence, from where it was read to the last time. */
import { LogFile, type Lines, type Place } from "./log-file.ts";
import { findPlace, wasRotated, openCandidate, openSince, successor } from "./rotation.ts";
import { WakeUp } from "./wake-up.ts";

export interface FollowOptions {
  /** The log. It need not be there yet. */
  readonly path: string;
  /** Where to begin: at a place, or with what was written after a time (milliseconds since 1970). Default: with the log as it is. */
  readonly from?: Place | number | undefined;
  /** End where the log ends. Default: wait for more. */
  readonly once?: boolean;
  /** Ends it after the lines in hand. */
  readonly signal: AbortSignal;
  /** Takes lines in order, and where to begin the next time. What it throws ends the following. */
  readonly take: (lines: Lines) => Promise<void> | void;
  /** Told where a part of the log cannot be found any more: `place` is the last of it that was read. */
  readonly onGap?: (place: Place) => void;
  /** Told, once in this process, that the kernel does not announce what is written, and what to do about it. */
  readonly onPolling?: ((reason: string) => void) | undefined;
  /** Told where lines may be missing before the next one: any number of them, or those of the last instant. */
  readonly onBreak?: (lost: "all" | "last") => void;
}

/**
 * Returns at `signal`, or with `once` at the end.
 *
 * Nothing that was written is passed over: after a rename the old file is read to its end, which is where the new one is no longer
 * empty; after a truncation the copy, if there is one. Only a file that was compressed or deleted before it was read is lost, and what
 * is written between copy and truncation.
 *
 * @throws what opening and reading the log throws, save that it is missing
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
        // truncated: what was written just before, nobody has copied
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
  from: Place | number | undefined,
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

/** Reads the file to its end. Returns the one where the log goes on; undefined: in the same one. */
async function readOn(options: FollowOptions, file: LogFile): Promise<LogFile | undefined> {
  while (await readAll(options, file)) {
    const next = await successor(options.path, file);
    if (next === undefined || options.signal.aborted) return undefined;
    // what was written before the next one was begun
    if (!(await readAll(options, file))) break;
    const opened = await openCandidate(next);
    if (opened !== undefined) return opened;
  }
  // truncated; whoever does that without a copy wants it to be gone
  return (await findPlace(options.path, file.place, file.place)) ?? LogFile.open(options.path);
}

/** False: it is not the file any more that it was. */
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
