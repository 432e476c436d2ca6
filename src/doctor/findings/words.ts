/** The parts of advice. Administrators paste it into a shell, so the quoting must be right. */
import { readFileSync } from "node:fs";
import { DEFAULT_CONFIG_PATH, type Config } from "../../config/config.ts";

/** `text` as one word for the shell. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The command that runs this program with this configuration. */
export function popbsmtp({ path }: Pick<Config, "path">): string {
  return path === undefined || path === DEFAULT_CONFIG_PATH
    ? "popbsmtp"
    : `popbsmtp --config ${shellWord(path)}`;
}

/** The name of a group, or its number if /etc/group does not list it: chgrp(1) takes either. */
export function groupName(gid: number): string {
  return nameIn("/etc/group", gid);
}

/** The name of a user, or its number if /etc/passwd does not list it. */
export function userName(uid: number): string {
  return nameIn("/etc/passwd", uid);
}

function nameIn(database: string, id: number): string {
  for (const line of readFileSync(database, "utf8").split("\n")) {
    const [name, , number] = line.split(":");
    if (name !== undefined && number === String(id)) return name;
  }
  return String(id);
}

/** The mode of a file as chmod(1) takes it: "0640". */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

/** A duration in milliseconds, in its largest unit: "12 min". */
export function span(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 120) return `${String(seconds)} s`;
  if (seconds < 7_200) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 172_800) return `${String(Math.round(seconds / 3600))} h`;
  return `${String(Math.round(seconds / 86_400))} days`;
}
