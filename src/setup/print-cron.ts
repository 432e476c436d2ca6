import { hostname } from "node:os";
import { crc32 } from "node:zlib";
import { plainWords } from "./plain-words.ts";

/** cron's own PATH may lack /usr/local/bin, where Node may be. */
export const CRON_PATH = "PATH=/usr/local/bin:/usr/bin:/bin";

/** A file for /etc/cron.d, given the words that start popbsmtp. */
export function cronLines(program: readonly string[]): readonly string[] {
  return [
    "# /etc/cron.d/popbsmtp: deletes expired authorizations and drains the spool. It runs as root to read",
    "# the password; popbsmtp then switches to its own user. It is silent unless something is wrong. The minute is derived from",
    "# this host's name, so that the hosts of one database do not all purge at once.",
    CRON_PATH,
    `${String(crc32(hostname()) % 60)} * * * * root ${plainWords(program)} purge`,
  ];
}

/** The same as a script for /etc/cron.hourly. */
export function cronHourlyLines(program: readonly string[]): readonly string[] {
  return [
    "#!/bin/sh",
    "# /etc/cron.hourly/popbsmtp, mode 755: deletes expired authorizations and drains the spool. Its name must not",
    "# contain a dot: run-parts(8) skips popbsmtp.sh. It is silent unless something is wrong.",
    `export ${CRON_PATH}`,
    `exec ${plainWords(program)} purge`,
  ];
}
