/**
 * How the descriptors of this process are shared out. Logins have no limit of their own: they need
 * the rest.
 */
import { readFileSync } from "node:fs";

/** The descriptors of the program itself, with its stores: some forty. */
const OWN = 64;

/** The most connections at a time. */
export interface Share {
  /** To the policy service and the socketmap together. */
  readonly asking: number;
  readonly metrics: number;
  /** To DRAC over TCP. */
  readonly drac: number;
}

/** For this process. */
export function descriptorShare(): Share {
  return shareOf(descriptorLimit(readFileSync("/proc/self/limits", "latin1")));
}

/** @param limit the most descriptors of a process */
export function shareOf(limit: number): Share {
  const spare = Math.max(16, limit - OWN);
  const part = (of: number, most: number) => Math.min(most, Math.floor(spare / of));
  return { asking: part(2, 4_096), metrics: part(8, 32), drac: part(8, 256) };
}

/** The soft limit in /proc/PID/limits, which Node has raised to the hard one: proc(5). */
export function descriptorLimit(limits: string): number {
  return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
}
