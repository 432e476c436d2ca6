/** The output of a command: for people on a terminal, plain for a pipe or a file. */

export interface Terminal {
  /** Writes a line of the result to stdout. */
  readonly print: (line: string) => void;
  /** Writes a remark to stderr. */
  readonly note: (line: string) => void;
  /**
   * Shows the progress of long work in place of the last one; "" erases it. Does nothing unless
   * stderr is a terminal.
   */
  readonly progress: (text: string) => void;
  /**
   * Whether a person reads stdout. Cron mails all output, so a command reports mere success only to
   * a person.
   */
  readonly interactive: boolean;
  /**
   * Whether to use colours: stdout is a terminal, and NO_COLOR is not set (https://no-color.org).
   */
  readonly color: boolean;
}

/** The terminal of this process. */
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
 * Unicode's category C (control characters, format characters such as bidirectional overrides, lone
 * surrogates, unassigned characters), and the line and paragraph separators. A terminal may act on
 * any of them.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * `text`, safe for a terminal: characters that it could act on are written as \uXXXX, as in JSON
 * and JavaScript.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    // by code unit, so that the result remains valid within a JSON string
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

/**
 * The number of columns that printable text takes: two for East Asian letters and emoji, none for
 * combining marks.
 */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (!COMBINING.test(character)) columns += WIDE.test(character) ? 2 : 1;
  }
  return columns;
}

/** The local time in a list for people: 2026-03-03 10:00:01. */
export function formatTime(date: Date): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${day.map(twoDigits).join("-")} ${time.map(twoDigits).join(":")}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
