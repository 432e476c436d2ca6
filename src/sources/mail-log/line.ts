/** From a line of a log to a login. */
import { formatDuration } from "../../config/duration.ts";
import type { Login } from "../../login.ts";
import type { Found } from "./format.ts";
import type { Formats } from "./formats.ts";
import { parseTimestamp, timestampEnd } from "./timestamp.ts";

/** What a line of a log is. */
export type LineResult =
  /** Somebody has logged in. The time is the line's: whole seconds, or down to microseconds where the line has them. */
  | { readonly kind: "login"; readonly login: Login }
  /** It tells of a login that cannot count, and why, for people. */
  | { readonly kind: "refused"; readonly why: string }
  /** A mail server's, and no login. */
  | { readonly kind: "known" }
  /** Another program's. */
  | { readonly kind: "other" }
  /** No line of a log that can be read. */
  | { readonly kind: "unknown" };

/** What it takes to read a line. */
export interface LineContext {
  readonly formats: Formats;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: number;
  /**
   * When the file was last written to, in milliseconds since 1970: no line of it is later, which tells the year where lines have none.
   * Default: `now`.
   */
  readonly written?: number | undefined;
}

/** A longer line is nobody's login. Bytes. */
export const LINE_BYTES = 8 * 1024;

/** A login's time may be ahead of this host's clock by as much: what stores allow for, too. Milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000;

const CR = 0x0d;

/** `[ID 702911 mail.info] ` in front of what a program says: Solaris' syslog. */
const SOLARIS = /^\[ID \d+ \w+\.\w+\] ?/;

const KNOWN: LineResult = { kind: "known" };
const OTHER: LineResult = { kind: "other" };
const UNKNOWN: LineResult = { kind: "unknown" };

/**
 * Reads a line, without its newline.
 *
 * Most lines of a log are of no interest, and are thrown away once it is seen which program wrote them.
 */
export function parseLine(line: Buffer, context: LineContext): LineResult {
  if (line.length > LINE_BYTES) return UNKNOWN;
  const { formats } = context;
  const bytes = line.at(-1) === CR ? line.subarray(0, -1) : line;
  const text = bytes.toString("latin1");
  const parts = takeApart(text);
  if (formats.pattern !== undefined) {
    const found = formats.pattern.read(bytes);
    return found === undefined
      ? parts === undefined
        ? UNKNOWN
        : OTHER
      : login(found, parts?.time, context);
  }
  if (parts === undefined) return UNKNOWN;
  const { program, time, message } = parts;
  if (!formats.knows(program)) return OTHER;
  const found = formats.read(text.slice(message).replace(SOLARIS, ""), program);
  return found === undefined ? KNOWN : login(found, time, context);
}

function login(found: Exclude<Found, undefined>, time: string | undefined, context: LineContext) {
  const { now, written = now } = context;
  if (typeof found === "string") return refused(found);
  const { time: own, ...rest } = found;
  const text = own ?? time;
  if (text === undefined) return refused("there is no time in it");
  const when = parseTimestamp(text, Math.min(now, written));
  if (when === undefined) return refused("its time is none that can be read");
  const ahead = when - now;
  if (ahead > CLOCK_TOLERANCE_MS) {
    return refused(
      `its time is ${formatDuration(Math.ceil(ahead / 1000) * 1000)} ahead; is it in another time zone than this host's?`,
    );
  }
  return { kind: "login", login: { ...rest, time: when } } as const;
}

function refused(why: string): LineResult {
  return { kind: "refused", why };
}

interface Parts {
  /** As it is written. */
  readonly time: string;
  /** Who wrote it, without process id; "" where that is not said. */
  readonly program: string;
  /** Where the message begins. */
  readonly message: number;
}

/** A program's name, and its process id; or that in brackets, as some write who log for themselves. The host's name before it. A user's name can be in an odd one: `imap(bob)<1><x>:`. */
const PROGRAM = /^(?:([\w./-]+)(?:\[\d+\])?|\[([\w.-]+)\]):$/;
const HOST = /^[\w.:-]+$/;

/** Dovecot 1.0's own log, and 0.99's, have the time behind the program. */
const OLD_DOVECOT = /^(dovecot|imap-login|pop3-login): /;

/** qpopper's own log has, for a program, what it is called as or its process id. */
const QPOPPER = /^\[(?:popper|\d+)\] +/;

function takeApart(text: string): Parts | undefined {
  const end = timestampEnd(text);
  if (end === undefined) return takeOldDovecotApart(text);
  const time = text.slice(0, end);
  const start = end + 1;
  const first = endOfWord(text, start);
  const word = text.slice(start, first);
  if (word.endsWith(":")) {
    return { time, program: programOf(word), message: first + 1 };
  }
  if (word.startsWith("[")) {
    const [prefix] = QPOPPER.exec(text.slice(start)) ?? [];
    if (prefix !== undefined) return { time, program: "popper", message: start + prefix.length };
  }
  const second = endOfWord(text, first + 1);
  const program = HOST.test(word) ? programOf(text.slice(first + 1, second)) : "";
  return { time, program, message: second + 1 };
}

function takeOldDovecotApart(text: string): Parts | undefined {
  const [prefix, program] = OLD_DOVECOT.exec(text) ?? [];
  if (prefix === undefined || program === undefined) return undefined;
  const end = timestampEnd(text, prefix.length);
  if (end === undefined) return undefined;
  return { time: text.slice(prefix.length, end), program, message: end + 1 };
}

function programOf(word: string): string {
  const [, program, bracketed = ""] = PROGRAM.exec(word) ?? [];
  return program ?? bracketed;
}

function endOfWord(text: string, from: number): number {
  const end = text.indexOf(" ", from);
  return end < 0 ? text.length : end;
}
