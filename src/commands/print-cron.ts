import { plainWords } from "./plain-words.ts";

/** A file for /etc/cron.d, given the words that start popbsmtp. */
export function cronLines(program: readonly string[]): readonly string[] {
  return [
    "# /etc/cron.d/popbsmtp: deletes expired authorizations, and writes what was left in the spool. As root, who may",
    "# read the password; popbsmtp then becomes its own user. It is silent unless something is wrong.",
    `17 * * * * root ${plainWords(program)} purge`,
  ];
}
