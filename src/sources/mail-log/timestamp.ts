/** The time at the beginning of a line, as syslog daemons, journalctl and mail servers spell it. */

/** Milliseconds. */
export const DAY_MS = 86_400_000;

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

const FRACTION = String.raw`(?:[.,](?<fraction>\d{1,9}))?`;
const CLOCK = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)${FRACTION}`;
const SPELLINGS = [
  // syslog (RFC 3164), Dovecot's own log, journalctl -o short and short-precise; with weekday and
  // year, ctime(3)
  String.raw`^(?:[A-Z][a-z]{2} )?(?<name>[A-Z][a-z]{2}) (?<day>[ \d]\d) ${CLOCK}(?: (?<year>\d{4}))?$`,
  // RFC 3339, which rsyslog writes, and other spellings of ISO 8601: journalctl -o short-iso,
  // Dovecot's log_timestamp
  String.raw`^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)[T ]${CLOCK}(?:(?<utc>Z)|(?<sign>[+-])(?<east>\d\d):?(?<eastMinute>\d\d))?$`,
].map((spelling) => new RegExp(spelling));

const SPACE = 0x20;
const COLON = 0x3a;
const DASH = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/**
 * The end of the time at `start`; undefined if there is none. Only parsing shows whether it is
 * valid.
 */
export function timestampEnd(line: string, start = 0): number | undefined {
  if (line.charCodeAt(start + 4) === DASH && line.charCodeAt(start + 7) === DASH) {
    return endOfWord(line, start + 19);
  }
  if (line.charCodeAt(start + 3) !== SPACE) return undefined;
  if (line.charCodeAt(start + 9) === COLON) return endOfWord(line, start + 15);
  if (line.charCodeAt(start + 13) !== COLON) return undefined;
  // the year, as in ctime(3)
  const end = endOfWord(line, start + 19);
  const code = end === undefined ? 0 : line.charCodeAt(end + 1);
  return end !== undefined && code >= DIGIT_0 && code <= DIGIT_9 ? endOfWord(line, end + 1) : end;
}

function endOfWord(line: string, from: number): number | undefined {
  const end = line.indexOf(" ", from);
  return end < 0 ? undefined : end;
}

/**
 * The time, in milliseconds since 1970; undefined if `text` is none, or a time that this host's
 * time zone has skipped.
 *
 * Without a year, it is the latest possible time up to a day after `latest`. So a line from the
 * first second of the next year does not count as an old one, and a line that is some hours ahead,
 * because its writer has another time zone, shows as such.
 *
 * Without a zone, it is local time. The hour that occurs twice in autumn counts as the first one:
 * that may end an authorization an hour early, where the second might authorize a client that left
 * an hour ago.
 */
export function parseTimestamp(text: string, latest: number): number | undefined {
  const groups = SPELLINGS.map((spelling) => spelling.exec(text)?.groups).find(Boolean);
  if (groups === undefined) return undefined;
  const { name, month, day, hour, minute, second, fraction = "0", year } = groups;
  const monthIndex = name === undefined ? Number(month) - 1 : MONTHS.indexOf(name);
  const parts = [monthIndex, Number(day), Number(hour), Number(minute), Number(second)] as const;
  const rest = Number(`0.${fraction}`) * 1000;
  if (year !== undefined) return plus(timeOf(Number(year), parts, eastOf(groups)), rest);
  const last = new Date(latest + DAY_MS).getFullYear();
  // the last 29 February may be eight years ago
  for (let candidate = last; candidate > last - 9; candidate--) {
    const time = timeOf(candidate, parts, undefined);
    if (time !== undefined && time <= latest + DAY_MS) return plus(time, rest);
  }
  return undefined;
}

/** Whether a time includes its year. */
export function hasYear(text: string): boolean {
  return /^\d{4}-| \d{4}$/.test(text);
}

function plus(time: number | undefined, milliseconds: number): number | undefined {
  // a login's time has microseconds
  return time === undefined ? undefined : time + Math.floor(milliseconds * 1000) / 1000;
}

/** The offset east of Greenwich in minutes; undefined: local time. */
function eastOf({ utc, sign, east, eastMinute }: Record<string, string | undefined>) {
  if (utc !== undefined) return 0;
  if (sign === undefined) return undefined;
  const minutes = Number(east) * 60 + Number(eastMinute);
  return sign === "-" ? -minutes : minutes;
}

type TimeParts = readonly [
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
];

function timeOf(year: number, parts: TimeParts, east: number | undefined): number | undefined {
  const [month, day, hour, minute, second] = parts;
  const date =
    east === undefined
      ? new Date(year, month, day, hour, minute, second)
      : new Date(Date.UTC(year, month, day, hour, minute, second));
  // Date turns an invalid date (30 February, or the hour that spring skips) into another
  const isThat =
    east === undefined
      ? date.getMonth() === month && date.getDate() === day && date.getHours() === hour
      : date.getUTCMonth() === month && date.getUTCDate() === day && date.getUTCHours() === hour;
  if (!isThat || minute > 59 || second > 60) return undefined;
  return date.getTime() - (east ?? 0) * 60_000;
}
