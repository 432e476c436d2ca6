import { ConfigError } from "./errors.ts";

/**
 * A command line for a file that has no way to quote: Dovecot splits at every blank and expands `$`, crontab(5) takes % for a
 * newline. Throws where a word has any such character.
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
