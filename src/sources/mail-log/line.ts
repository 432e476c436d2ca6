/** Parses a line of a log. */
import type { Time } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/duration.ts";
import type { Login } from "../../login/login.ts";
import type { LineReading } from "../../mail-formats/format.ts";
import type { Formats } from "../../mail-formats/formats.ts";
import { LINE_BYTES, type Fragments } from "../../mail-formats/fragments.ts";
import { TOO_LONG } from "./lines.ts";
import { hasYear, parseTimestamp, timestampEnd } from "./timestamp.ts";

/** The kind of a line. */
export type LineResult =
  /** A login. The time is the line's: whole seconds, or microseconds if the line has them. */
  | {
      readonly kind: "login";
      readonly login: Login;
      /** The time as written, if it has no year. */
      readonly yearless: string | undefined;
    }
  /** A login that does not count, and the reason, for people. */
  | { readonly kind: "refused"; readonly why: string }
  /** A mail server's line, but not a login. */
  | { readonly kind: "known" }
  /** Another program's line. */
  | { readonly kind: "other" }
  /** Not a line of any known log. */
  | { readonly kind: "unknown" };

/** The context in which a line is read. */
export interface LineContext {
  readonly formats: Formats;
  /** The state of the lines before. */
  readonly fragments: Fragments;
  readonly now: Time;
  /**
   * When the file was last written to. No line is later, which determines the year of lines without
   * one. Default: `now`.
   */
  readonly written?: Time | undefined;
}

/** How far a login may be ahead of this host's clock, in milliseconds; stores allow as much. */
const CLOCK_TOLERANCE_MS = 60_000;

const CR = 0x0d;

/** `[ID 702911 mail.info] `, which Solaris' syslog puts before the message. */
const SOLARIS = /^\[ID \d+ \w+\.\w+\] ?/;

const FRAGMENT =
  "it may be a fragment of a longer message that contains text from a client: the text before it was cut off or is unknown";

const KNOWN: LineResult = { kind: "known" };
const OTHER: LineResult = { kind: "other" };
const UNKNOWN: LineResult = { kind: "unknown" };

/**
 * Parses a line, without its newline.
 *
 * Most lines of a log are irrelevant, and are dropped once the name of the program is known.
 */
export function parseLine(line: Buffer, context: LineContext): LineResult {
  const { formats } = context;
  const bytes = line.at(-1) === CR ? line.subarray(0, -1) : line;
  const text = bytes.toString("latin1");
  const parts = takeApart(text);
  const { program = "", hasProcessId = false } = parts ?? {};
  const message = text.slice(parts?.message).replace(SOLARIS, "");
  const isKnown = formats.pattern !== undefined || formats.knows(program);
  const isLong = line === TOO_LONG || line.length > LINE_BYTES;
  if (!isKnown && !isLong) return parts === undefined ? UNKNOWN : OTHER;
  const isFragment = context.fragments.take({
    program,
    isCut: formats.isCut(message, program),
    isEverybodys: isLong,
    // courierlogger passes no process id to syslog; the journal adds one
    isStripped: hasProcessId && formats.isStripped(message, program),
    time: () => timeOf(parts?.time, context),
  });
  if (isLong) return UNKNOWN;
  const found =
    formats.pattern === undefined
      ? formats.read(message, program, hasProcessId)
      : formats.pattern.read(bytes);
  if (found !== undefined)
    return isFragment ? refused(FRAGMENT) : login(found, parts?.time, context);
  if (formats.pattern === undefined) return KNOWN;
  return parts === undefined ? UNKNOWN : OTHER;
}

/** The time at the beginning of a line; undefined if there is none. */
export function lineTime(
  line: Buffer,
  context: Pick<LineContext, "now" | "written">,
): Time | undefined {
  return timeOf(takeApart(line.toString("latin1"))?.time, context);
}

function timeOf(
  text: string | undefined,
  { now, written = now }: Pick<LineContext, "now" | "written">,
): number | undefined {
  return text === undefined ? undefined : parseTimestamp(text, Math.min(now, written));
}

function login(
  found: Exclude<LineReading, undefined>,
  time: string | undefined,
  context: LineContext,
) {
  if (typeof found === "string") return refused(found);
  const { time: own, ...rest } = found;
  const text = own ?? time;
  if (text === undefined) return refused("it contains no time");
  const when = timeOf(text, context);
  if (when === undefined) return refused("its time cannot be parsed");
  const ahead = when - context.now;
  if (ahead > CLOCK_TOLERANCE_MS) {
    return refused(
      `its time is ${formatDuration(Math.ceil(ahead / 1000) * 1000)} ahead; is it in another time zone than this host's?`,
    );
  }
  const yearless = hasYear(text) ? undefined : text;
  return { kind: "login", login: { ...rest, time: when }, yearless } as const;
}

function refused(why: string): LineResult {
  return { kind: "refused", why };
}

interface LineParts {
  /** As written. */
  readonly time: string;
  /** The program, without its process id; "" if the line does not say. */
  readonly program: string;
  readonly hasProcessId: boolean;
  /** The position of the message. */
  readonly message: number;
}

/**
 * The name of a program, with its process id, or in brackets, as some programs write in logs of
 * their own. The host name precedes it. The name of a user may be in a different place:
 * `imap(bob)<1><x>:`.
 */
const PROGRAM = /^(?:([\w./-]+)(\[\d+\])?|\[([\w.-]+)\]):$/;
const HOST = /^[\w.:-]+$/;

/** In the logs of Dovecot 0.99 and 1.0, the time follows the name of the program. */
const OLD_DOVECOT = /^(dovecot|imap-login|pop3-login): /;

/** qpopper's own log has its name or its process id in place of the program. */
const QPOPPER = /^\[(?:popper|\d+)\] +/;

function takeApart(text: string): LineParts | undefined {
  const end = timestampEnd(text);
  if (end === undefined) return takeOldDovecotApart(text);
  const time = text.slice(0, end);
  const start = end + 1;
  const first = endOfWord(text, start);
  const word = text.slice(start, first);
  if (word.endsWith(":")) {
    return { time, ...programOf(word), message: first + 1 };
  }
  if (word.startsWith("[")) {
    const [prefix] = QPOPPER.exec(text.slice(start)) ?? [];
    if (prefix !== undefined) {
      return { time, ...programOf("popper:"), message: start + prefix.length };
    }
  }
  const second = endOfWord(text, first + 1);
  const program = HOST.test(word) ? text.slice(first + 1, second) : "";
  return { time, ...programOf(program), message: second + 1 };
}

function takeOldDovecotApart(text: string): LineParts | undefined {
  const [prefix, program] = OLD_DOVECOT.exec(text) ?? [];
  if (prefix === undefined || program === undefined) return undefined;
  const end = timestampEnd(text, prefix.length);
  if (end === undefined) return undefined;
  return { time: text.slice(prefix.length, end), ...programOf(`${program}:`), message: end + 1 };
}

function programOf(word: string): Pick<LineParts, "program" | "hasProcessId"> {
  const [, program, processId, bracketed = ""] = PROGRAM.exec(word) ?? [];
  return { program: program ?? bracketed, hasProcessId: processId !== undefined };
}

function endOfWord(text: string, from: number): number {
  const end = text.indexOf(" ", from);
  return end < 0 ? text.length : end;
}
