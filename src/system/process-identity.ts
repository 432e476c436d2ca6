/** Whether a process is alive, and is the one that was meant: process ids are reused. */
import { readFileSync } from "node:fs";
import { hasCode } from "../lib/errors.ts";

/** Whether the process exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // another user's process
    return hasCode(error, "EPERM");
  }
}

/** Whether the process that started at that time is alive. */
export function isSameProcess(pid: number, startTime: string | undefined): boolean {
  try {
    return processStartTime(pid) === startTime;
  } catch {
    return false;
  }
}

/**
 * Field 22 of proc(5)'s stat: together with the process id, it identifies a process since boot.
 * Throws if the process does not exist.
 */
export function processStartTime(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" ? undefined : fields[18];
}
