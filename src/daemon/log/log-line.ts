/** What a log line looks like. Nothing that a client controls can end it, begin another, or make a terminal do something. */
import { fstatSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { printable } from "../../lib/terminal.ts";
import type { Fields, Level } from "./log.ts";

/** A line, with its newline, of an event's text. */
export type LineStyle = (level: Level, text: string) => string;

/** A value takes at most so many characters: then what a client makes long does not push the other fields out. */
const VALUE_CHARACTERS = 300;

/** All the fields take at most so many: a line then stays below 4,096 bytes, which a pipe takes whole or not at all. pipe(7) */
const TEXT_CHARACTERS = 950;

/** What may stand there without quotes: no space, nothing unprintable, and nothing that has a meaning in key=value. */
const BARE = /^[^\s"=\\\p{C}\p{Zl}\p{Zp}]+$/u;

/**
 * `event key=value key="a value"`, in the order of `fields`. Values are quoted where they have to be, with the escapes of JSON; "..."
 * at the end of one says that it was longer, at the end of the line that there were more fields.
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

const SYSLOG_PRIORITY: Readonly<Record<Level, number>> = {
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
};

/** For the journal, which knows the time and takes the level in front. sd-daemon(3) */
export const journalLine: LineStyle = (level, text) => `<${SYSLOG_PRIORITY[level]}>${text}\n`;

const DOVECOT_TYPE: Readonly<Record<Level, number>> = { debug: 0, info: 1, warning: 2, error: 3 };

/** For Dovecot's log process: 0x01, the level plus one as a byte, the process id. dovecot 2.3 and 2.4, src/lib/failures.c */
export function dovecotLine(pid: number): LineStyle {
  return (level, text) => `\u0001${String.fromCharCode(DOVECOT_TYPE[level] + 1)}${pid} ${text}\n`;
}

/** For a file or a terminal: the time (RFC 3339, UTC) and the level in front. `now`: milliseconds since 1970. */
export function plainLine(now: Clock): LineStyle {
  return (level, text) => `${new Date(now()).toISOString()} ${level} ${text}\n`;
}

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** This process' id. */
  readonly pid: number;
  readonly now: Clock;
  /** What is written to. Default: stderr. */
  readonly descriptor?: number;
}

/** The style for whoever started this process: Dovecot's master, systemd, or anybody else. */
export function lineStyle({ env, pid, now, descriptor = 2 }: Surroundings): LineStyle {
  if (env["LOG_SERVICE"] === "1") return dovecotLine(pid);
  return isJournal(env["JOURNAL_STREAM"], descriptor) ? journalLine : plainLine(now);
}

/** The variable alone proves nothing: it is inherited by whoever is started with another stderr. systemd.exec(5) */
function isJournal(stream: string | undefined, descriptor: number): boolean {
  const { dev, ino } = fstatSync(descriptor);
  return stream === `${dev}:${ino}`;
}
