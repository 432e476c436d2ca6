/** From a mail log to logins in the spool. */
import { EX, PopbsmtpError, reasonOf } from "../../lib/errors.ts";
import type { Spool } from "../../spool/spool.ts";
import { follow } from "./follow.ts";
import { Handover } from "./handover.ts";
import { linesOf } from "./lines.ts";
import type { Lines, Place } from "./log-file.ts";
import { Selector, type Selection } from "./selector.ts";
import { unreadable } from "./unreadable.ts";

/** So much of a log may be read again after a crash that has no login in it. Bytes. */
const UNSAVED_BYTES = 16 * 1024 * 1024;

export interface WatchOptions extends Selection {
  /** The log. */
  readonly path: string;
  readonly spool: string;
  /** End where the log ends. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
  /** Told where a part of the log cannot be found any more; `place` is the last of it that was read. */
  readonly onGap: (place: Place) => void;
  /** Told, once in this process, that the kernel does not announce what is written, and what to do about it. Default: nobody hears it. */
  readonly onPolling?: (reason: string) => void;
  /** Told how much of the log is still to be read, in bytes. */
  readonly onProgress?: (rest: number) => void;
}

/**
 * Watches a log until `signal`, or with `once` to its end. Each login in it that is not too old is put into the spool, once.
 *
 * @throws PopbsmtpError where the spool does not take them, or somebody else watches the log; what opening the log throws
 */
export async function watchLog(options: WatchOptions): Promise<void> {
  const { path, spool, once = false, signal, since } = options;
  const { onGap, onPolling, onProgress = () => undefined } = options;
  using handover = await Handover.open(spool, path);
  // the first time, what may still count: some of it may have been rotated away just now
  const from = since ?? handover.place ?? options.now() - options.lifetime;
  const selector = new Selector(
    options,
    typeof from === "number" ? { doubts: [] } : handover.fragments,
  );
  let last: Place | undefined;
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

/** Whether much would have to be read again to get from the one place to the other. */
function isFar(from: Place | undefined, to: Place): boolean {
  return from?.inode !== to.inode || Math.abs(to.offset - from.offset) > UNSAVED_BYTES;
}

/**
 * The same for lines that come from a stream, to its end. They are not numbered: a stream that begins with what an earlier one has had,
 * as journalctl's may, is to say the same.
 *
 * @throws PopbsmtpError (77) where the spool does not take them
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
