import { ConfigError } from "../lib/errors.ts";

/**
 * A command line for a file without quoting: Dovecot splits at every blank and expands `$`, and
 * crontab(5) turns % into a newline. Throws if a word contains any of these.
 */
export function plainWords(words: readonly string[]): string {
  for (const word of words) {
    if (!/^[\w./+@,:=-]+$/.test(word)) {
      throw new ConfigError([
        `${JSON.stringify(word)}: neither Dovecot nor cron can be given this path; move it to one of letters, digits and ./_+@,:=-`,
      ]);
    }
  }
  return words.join(" ");
}
