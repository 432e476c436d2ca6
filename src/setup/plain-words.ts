import { ConfigError } from "../lib/errors.ts";

/**
 * A command line for a file without quoting: Dovecot splits at every blank and expands `$`, and
 * crontab(5) turns % into a newline. Throws if a word contains any of these.
 */
export function plainWords(words: readonly string[]): string {
  for (const word of words) {
    if (!/^[\w./+@,:=-]+$/.test(word)) {
      throw new ConfigError([
        `${JSON.stringify(word)}: this path cannot be written for Dovecot or cron; use a path of letters, digits and ./_+@,:=- only`,
      ]);
    }
  }
  return words.join(" ");
}
