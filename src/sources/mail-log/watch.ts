/** From a mail log to logins in the spool. */
import type { Network } from "../../address.ts";
import { EX, PopbsmtpError } from "../../errors.ts";
import type { Login } from "../../login.ts";
import type { Spool } from "../../spool/spool.ts";
import { follow } from "./follow.ts";
import { Fragments, type FragmentsState } from "./fragments.ts";
import { Handover } from "./handover.ts";
import type { Formats } from "./formats.ts";
import { parseLine, type LineResult } from "./line.ts";
import { linesOf } from "./lines.ts";
import type { Lines, Place } from "./log-file.ts";
import { Recognition, sampleOf, type Quiet } from "./recognition.ts";
import { unreadable } from "./unreadable.ts";

/** A spool's file is named by a time of 16 digits: nobody read mail before that (September 2001). Milliseconds since 1970. */
const EARLIEST = 1e12;

/** So much of a log may be read again after a crash that has no login in it. Bytes. */
const UNSAVED_BYTES = 16 * 1024 * 1024;

/** What became of a login that a log tells of. Excluded ones are not in the spool. */
export type WatchOutcome = "spooled" | "excluded";

/** How many lines were what. */
export type LineCounts = Readonly<Record<LineResult["kind"], number>>;

/** What it takes to make logins of lines. */
export interface Selection {
  readonly formats: Formats;
  readonly exclude: readonly Network[];
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** How old a login may be. Milliseconds. */
  readonly lifetime: number;
  /** Logins from this time on, whatever their age. Milliseconds since 1970. */
  readonly since?: number | undefined;
  /** How long nothing may be recognised while lines come. Milliseconds; 0: forever. */
  readonly quietAfter: number;
  readonly onQuiet: (quiet: Quiet) => void;
  /** Told of a login that cannot count: why, and the line as it may be shown. */
  readonly onRefused: (why: string, line: string) => void;
  /** Whether somebody else has recorded a login already. Default: nobody has. */
  readonly isKnown?: (login: Login) => boolean;
  /** Told of logins once they are in the spool, or excluded for good. */
  readonly onLogin?: (login: Login, outcome: WatchOutcome) => void;
  readonly onLines?: (counts: LineCounts) => void;
}

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
  const selector = new Selector(options, typeof from === "number" ? [] : handover.fragments);
  let last: Place | undefined;
  const take = ({ lines, before, next, rest }: Lines) => {
    const { logins, done } = selector.select(lines, { before, written: next.modified });
    if (logins.length > 0 || isFar(handover.place, next))
      handover.handOver(logins, next, selector.fragments);
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
      onBreak: () => selector.startAnywhere(),
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
    const { logins, done } = selector.select(lines);
    try {
      for (const login of logins) spool.write(login);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PopbsmtpError(`spool: ${reason}`, EX.NOPERM, { cause });
    }
    done();
  }
  selector.end();
}

/** What is known of lines that come from a file. */
interface Origin {
  /** How many lines of it lie before these. */
  readonly before: number;
  /** When it was last written to. Milliseconds since 1970. */
  readonly written: number;
}

/** Finds logins in lines. */
class Selector {
  readonly #options: Selection;
  readonly #recognition: Recognition;
  readonly #fragments: Fragments;

  /** @param before what is to be remembered of the lines before; undefined: they are not known */
  constructor(options: Selection, before: FragmentsState | undefined) {
    this.#options = options;
    this.#fragments = new Fragments(before);
    if (before === undefined) this.startAnywhere();
    this.#recognition = new Recognition(options.quietAfter, options.now(), options.onQuiet);
  }

  /** What has to be remembered of the lines so far. */
  get fragments(): FragmentsState {
    return this.#fragments.state;
  }

  /** The next line does not follow upon the last one. */
  startAnywhere(): void {
    this.#fragments.startAnywhere();
  }

  /**
   * The logins to be put into the spool, and what to call once they are in it.
   *
   * @param from the file they come from
   */
  select(
    lines: readonly Buffer[],
    from?: Origin,
  ): { readonly logins: readonly Login[]; readonly done: () => void } {
    const { formats, exclude, now: clock, isKnown, onLogin, onLines } = this.#options;
    const now = clock();
    const context = { formats, fragments: this.#fragments, now, written: from?.written };
    const earliest = this.#earliest(now);
    const logins: Login[] = [];
    const excluded: Login[] = [];
    const counts = { login: 0, refused: 0, known: 0, other: 0, unknown: 0 };
    for (const [index, line] of lines.entries()) {
      const result = parseLine(line, context);
      counts[result.kind] += 1;
      if (result.kind === "other" || result.kind === "unknown") {
        this.#recognition.unrecognised(line, now);
        continue;
      }
      this.#recognition.recognised(now);
      if (result.kind === "refused") this.#options.onRefused(result.why, sampleOf(line));
      if (result.kind !== "login" || result.login.time < earliest) continue;
      const login = from === undefined ? result.login : distinct(result.login, from.before + index);
      if (isKnown?.(login) === true) continue;
      const isExcluded = exclude.some((network) => network.contains(login.address));
      (isExcluded ? excluded : logins).push(login);
    }
    return {
      logins,
      done: () => {
        for (const login of logins) onLogin?.(login, "spooled");
        for (const login of excluded) onLogin?.(login, "excluded");
        onLines?.(counts);
      },
    };
  }

  /** No line comes any more. */
  end(): void {
    this.#recognition.end();
  }

  #earliest(now: number): number {
    const { since, lifetime } = this.#options;
    return Math.max(EARLIEST, since ?? now - lifetime);
  }
}

/**
 * Logs have whole seconds, and a login with the time of the last one is taken for that very one (Store.authorize): the line's place in
 * the log tells them apart, by as many microseconds of that second, and is the same whenever the log is read.
 */
function distinct(login: Login, line: number): Login {
  if (login.time % 1000 !== 0) return login;
  return { ...login, time: login.time + (line % 1_000_000) / 1000 };
}
