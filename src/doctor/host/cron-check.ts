/** Whether a job of cron, or a systemd timer, purges. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const DIRECTORIES = [
  "/etc/cron.d",
  "/etc/cron.hourly",
  "/etc/cron.daily",
  "/var/spool/cron/crontabs",
  "/var/spool/cron",
  "/etc/systemd/system",
];

/** The file of the job; undefined if this process can read none. */
export function purgeJob(): string | undefined {
  const files = DIRECTORIES.flatMap((directory) => list(directory));
  return ["/etc/crontab", ...files].find((file) => /\bpopbsmtp\b.*\bpurge\b/.test(textOf(file)));
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((file) => file.isFile())
      .map(({ name }) => join(directory, name));
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
