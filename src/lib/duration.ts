const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

/** How the configuration and the command line spell a duration, for messages. */
export const DURATION_SPELLING = 'a time such as "30m", "90s" or "1h30m"';

/**
 * The milliseconds of `30m`, `90s`, `1500ms`, `1h30m` (d, h, m, s, ms; each at most once, in this
 * order); undefined for other spellings. A number without a unit is rejected: some readers would
 * expect seconds, some minutes.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (match === null || text === "") return undefined;
  const sum = UNITS.reduce((ms, [, unit], index) => ms + Number(match[index + 1] ?? 0) * unit, 0);
  return Number.isSafeInteger(sum) ? sum : undefined;
}

/** The reverse of {@link parseDuration}: 5_400_000 is "1h30m"; 0 is "0s". */
export function formatDuration(milliseconds: number): string {
  let rest = Math.round(milliseconds);
  let text = "";
  for (const [name, unit] of UNITS) {
    const count = Math.floor(rest / unit);
    if (count > 0) text += `${count}${name}`;
    rest -= count * unit;
  }
  return text === "" ? "0s" : text;
}
