/** What a command speaks through: for people on a terminal, plain where it is a pipe or a file. */

export interface Terminal {
  /** Writes a line to stdout: what was asked for. */
  readonly print: (line: string) => void;
  /** Writes a line to stderr: what else a person wants to know. */
  readonly note: (line: string) => void;
  /** Shows, over the last one, how far long work is; "" wipes it away. Nothing where stderr is no terminal. */
  readonly progress: (text: string) => void;
  /** Whether a person reads stdout. Cron mails whatever it is sent, so a command that just worked says so only here. */
  readonly interactive: boolean;
  /** Whether stdout may have colours: a terminal, and NO_COLOR is not set (https://no-color.org). */
  readonly color: boolean;
}

/** The terminal this process has. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  return {
    print: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    progress: (text) => {
      if (stderr.isTTY) stderr.write(`\r\u001B[K${text}`);
    },
    interactive: stdout.isTTY,
    color: stdout.isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb",
  };
}

/**
 * Unicode's category C: controls (C0, DEL, C1), formats (bidirectional overrides, invisible joiners), lone surrogates, and what
 * is not assigned; and the line and paragraph separators. A terminal may obey any of them.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** `text` as it may be shown: what a terminal could obey is written as \uXXXX, as JSON and JavaScript spell it. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    // not by code point: this way the result stays valid inside a JSON string
    Array.from({ length: character.length }, (_, index) =>
      escape(character.charCodeAt(index)),
    ).join(""),
  );
}

function escape(codeUnit: number): string {
  return `\\u${codeUnit.toString(16).padStart(4, "0")}`;
}

const COMBINING = /\p{M}/u;
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1F64F}\u{1F680}-\u{1F6FF}\u{1F900}-\u{1F9FF}\u{20000}-\u{3FFFD}]/u;

/** How many columns of a terminal a printable text takes: two for East Asian letters and emoji, none for combining marks. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (!COMBINING.test(character)) columns += WIDE.test(character) ? 2 : 1;
  }
  return columns;
}

/** The local time as a person wants it in a list: 2026-03-03 10:00:01. */
export function formatTime(date: Date): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${day.map(twoDigits).join("-")} ${time.map(twoDigits).join(":")}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
