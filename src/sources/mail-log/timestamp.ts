/** The time at the start of a line. */

/** A time, and where it ends in the line. */
export interface Timestamp {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly end: number;
}

const SYSLOG = /^([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) /;

/** @param latest what a line without year cannot be later than by much, in milliseconds since 1970 */
export function parseTimestamp(line: string, latest: number): Timestamp | undefined {
  const match = SYSLOG.exec(line);
  if (match === null) return undefined;
  const [text, month, day, hour, minute, second] = match;
  const time = Date.parse(
    `${month} ${day} ${String(new Date(latest).getFullYear())} ${hour}:${minute}:${second}`,
  );
  return { time, end: text.length };
}
