/**
 * The format of a log line. Nothing that a client controls can end a line, begin another, or act on
 * a terminal.
 */
import { fstatSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { printable } from "../../lib/terminal.ts";
import type { LogLevel } from "../../config/config.ts";
import type { Fields } from "./log.ts";

/** Formats the text of an event as a line, with its newline. */
export type LineStyle = (level: LogLevel, text: string) => string;

/**
 * The longest value, in characters, so that a client's long value does not displace other fields.
 */
const VALUE_CHARACTERS = 300;

/**
 * The longest text, in characters, so that a line stays below 4,096 bytes, which a pipe takes whole
 * or not at all: pipe(7).
 */
const TEXT_CHARACTERS = 950;

/**
 * Values that need no quotes: no space, nothing unprintable, and no character that is special in
 * key=value.
 */
const BARE = /^[^\s"=\\\p{C}\p{Zl}\p{Zp}]+$/u;

/**
 * `event key=value key="a value"`, in the order of `fields`. Values are quoted if necessary, with
 * JSON's escapes; "..." marks a value, or at the end a line, that has been cut.
 */
export function eventText(event: string, fields: Fields): string {
  let text = event;
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const field = ` ${key}=${valueText(String(value))}`;
    if (text.length + field.length > TEXT_CHARACTERS) return `${text} ...`;
    text += field;
  }
  return text;
}

function valueText(value: string): string {
  if (value.length <= VALUE_CHARACTERS && BARE.test(value)) return value;
  let shown = "";
  for (const character of value) {
    const escaped = printable(JSON.stringify(character).slice(1, -1));
    if (shown.length + escaped.length > VALUE_CHARACTERS) return `"${shown}..."`;
    shown += escaped;
  }
  return `"${shown}"`;
}

const SYSLOG_PRIORITY: Readonly<Record<LogLevel, number>> = {
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
};

/** For the journal, which adds the time and parses the level: sd-daemon(3). */
export const journalLine: LineStyle = (level, text) => `<${SYSLOG_PRIORITY[level]}>${text}\n`;

const DOVECOT_TYPE: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warning: 2,
  error: 3,
};

/**
 * For Dovecot's log process: 0x01, the level plus one as a byte, the process id. See dovecot 2.3
 * and 2.4, src/lib/failures.c.
 */
export function dovecotLine(pid: number): LineStyle {
  return (level, text) => `\u0001${String.fromCharCode(DOVECOT_TYPE[level] + 1)}${pid} ${text}\n`;
}

/**
 * For a file or a terminal: the time (RFC 3339, UTC), the level, the text. `now`: milliseconds
 * since 1970.
 */
export function plainLine(now: Clock): LineStyle {
  return (level, text) => `${new Date(now()).toISOString()} ${level} ${text}\n`;
}

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** The id of this process. */
  readonly pid: number;
  readonly now: Clock;
  /** The descriptor of the log. Default: stderr. */
  readonly descriptor?: number;
}

/** The style for the reader of the log: Dovecot's master, systemd, or any other. */
export function lineStyle({ env, pid, now, descriptor = 2 }: Surroundings): LineStyle {
  if (env["LOG_SERVICE"] === "1") return dovecotLine(pid);
  return isJournal(env["JOURNAL_STREAM"], descriptor) ? journalLine : plainLine(now);
}

/**
 * The variable alone proves nothing: a child process inherits it even if its stderr is another.
 * systemd.exec(5)
 */
function isJournal(stream: string | undefined, descriptor: number): boolean {
  const { dev, ino } = fstatSync(descriptor);
  return stream === `${dev}:${ino}`;
}
