/** Processes, as proc(5) shows them, and how the daemon was started. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Time } from "../../lib/clock.ts";
import { hasCode } from "../../lib/errors.ts";

/** proc(5) counts in hundredths of a second (USER_HZ) on every platform of Linux. */
const TICKS_PER_SECOND = 100;

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** The program's name, truncated by the kernel to 15 bytes. */
  readonly name: string;
  /** Up to a second early. */
  readonly started: Time;
}

/** undefined if the process does not exist. */
export function findProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    // the name may contain blanks and parentheses
    const end = stat.lastIndexOf(")");
    const [state, parent, ...fields] = stat.slice(end + 2).split(" ");
    if (state === "Z" || state === "X") return undefined;
    return {
      pid,
      parent: Number(parent),
      name: stat.slice(stat.indexOf("(") + 1, end),
      started: bootTime() + (Number(fields[17]) / TICKS_PER_SECOND) * 1000,
    };
  } catch {
    return undefined;
  }
}

/** The system's boot time, in whole seconds (btime). */
function bootTime(): Time {
  const [, seconds] = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "latin1")) ?? [];
  return Number(seconds) * 1000;
}

/** The child processes of a process. */
export function childrenOf(pid: number): readonly Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => findProcess(Number(name)))
    .filter((process) => process?.parent === pid)
    .filter((process) => process !== undefined);
}

/**
 * The server whose process id is in a file; undefined if it does not run. Throws if the file cannot
 * be read.
 */
export function serverOf(pidFile: string, name: string): Process | undefined {
  let text;
  try {
    text = readFileSync(pidFile, "latin1");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
  const found = findProcess(Number(text));
  // the process id may have been reused
  return found?.name === name ? found : undefined;
}

/** The words of a process's command line; [] if it cannot be read. */
export function commandLineOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8")
      .split("\0")
      .slice(0, -1);
  } catch {
    return [];
  }
}

/**
 * The executable file of a process, followed by "(deleted)" if it has been replaced; undefined if
 * this process may not know.
 */
export function executableOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${String(pid)}/exe`);
  } catch {
    return undefined;
  }
}

/** The command that restarts the daemon, in the way in which it was started. */
export function restartCommand({ pid, parent }: Process): string {
  if (findProcess(parent)?.name === "dovecot") return "doveadm reload";
  const unit = unitOf(pid);
  return unit === undefined
    ? `kill ${String(pid)}    # and start popbsmtp serve again, in the way it was started`
    : `systemctl restart ${unit}`;
}

/** The systemd service of a process. The session of a login is not one (cgroups(7)). */
function unitOf(pid: number): string | undefined {
  try {
    const groups = readFileSync(`/proc/${String(pid)}/cgroup`, "utf8");
    const [, unit] = /\/([\w.@-]*popbsmtp[\w.@-]*\.service)$/m.exec(groups) ?? [];
    return unit;
  } catch {
    return undefined;
  }
}
