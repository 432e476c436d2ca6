/** Puts the logins of a mail log into the spool. */
import { EX, PopbsmtpError, reasonOf } from "../../lib/errors.ts";
import type { Spool } from "../../spool/spool.ts";
import { follow } from "./follow.ts";
import { Handover } from "./handover.ts";
import { linesOf } from "./lines.ts";
import type { Lines, LogPosition } from "./log-file.ts";
import { Selector, type Selection } from "./selector.ts";
import { unreadable } from "./unreadable.ts";

/** The most bytes without a login that a crash may cause to be read again. */
const UNSAVED_BYTES = 16 * 1024 * 1024;

export interface WatchOptions extends Selection {
  /** The log. */
  readonly path: string;
  readonly spool: string;
  /** Stop at the end of the log. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
  /**
   * Called when a part of the log cannot be found any more; `place` is the last that was read of
   * it.
   */
  readonly onGap: (place: LogPosition) => void;
  /**
   * Called once in this process if the kernel does not announce changes, with what to do about it.
   */
  readonly onPolling?: (reason: string) => void;
  /** Called with the number of bytes of the log that are still to be read. */
  readonly onProgress?: (rest: number) => void;
}

/**
 * Watches a log until `signal`, or with `once` to its end. Each login in it that is not too old is
 * put into the spool, once.
 *
 * @throws PopbsmtpError if the spool cannot be written to, or another process watches the log; the
 * errors of opening the log
 */
export async function watchLog(options: WatchOptions): Promise<void> {
  const { path, spool, once = false, signal, since } = options;
  const { onGap, onPolling, onProgress = () => undefined } = options;
  using handover = await Handover.open(spool, path);
  // the first time, the lines that may still count, which may just have been rotated away
  const from = since ?? handover.place ?? options.now() - options.lifetime;
  const selector = new Selector(
    options,
    typeof from === "number" ? { doubts: [] } : handover.fragments,
  );
  let last: LogPosition | undefined;
  const take = async (found: Lines) => {
    const { lines, next, rest } = found;
    const { logins, done } = await selector.select(lines, found);
    if (logins.length > 0 || isFar(handover.place, next)) {
      handover.handOver(logins, next, selector.fragments);
    }
    last = next;
    done();
    onProgress(rest);
  };
  try {
    await follow({
      path,
      from,
      once,
      signal,
      take,
      onGap,
      onPolling,
      onBreak: (lost) => selector.startAnew(lost),
    });
  } catch (error) {
    throw unreadable(path, error);
  }
  if (last !== undefined) handover.handOver([], last, selector.fragments);
  if (once) selector.end();
}

/** Whether much would have to be read again between two places. */
function isFar(from: LogPosition | undefined, to: LogPosition): boolean {
  return from?.inode !== to.inode || Math.abs(to.offset - from.offset) > UNSAVED_BYTES;
}

/**
 * The same for the lines of a stream, to its end. They are not numbered, so a stream that repeats
 * lines of an earlier one, as journalctl's may, repeats their times.
 *
 * @throws PopbsmtpError (77) if the spool cannot be written to
 */
export async function watchStream(
  stream: AsyncIterable<Buffer>,
  { spool, ...selection }: Selection & { readonly spool: Pick<Spool, "write"> },
): Promise<void> {
  const selector = new Selector(selection, undefined);
  for await (const lines of linesOf(stream)) {
    const { logins, done } = await selector.select(lines);
    try {
      for (const login of logins) spool.write(login);
    } catch (cause) {
      const reason = reasonOf(cause);
      throw new PopbsmtpError(`spool: ${reason}`, EX.NOPERM, { cause });
    }
    done();
  }
  selector.end();
}
