/**
 * The CPU time of all processes that the bench has started: servers, wrappers, drains, and their
 * children.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "../test/support/at-exit.ts";

const ROOT = "/sys/fs/cgroup";

/**
 * The unit of /proc/stat, USER_HZ in proc(5), which is the same on every architecture of Debian.
 */
const TICKS_PER_SECOND = 100;

export interface CpuMeter extends Disposable {
  /** CPU seconds so far, without those of this process. */
  read(): number;
  /** The method of measuring, and its precision. */
  readonly method: string;
}

/**
 * Call it before starting any process. A control group requires root; without one, the meter counts
 * the CPU time of the whole machine.
 */
export function openCpuMeter(): CpuMeter {
  const home = ownGroup();
  const group =
    home === undefined ? undefined : join(home, `popbsmtp-bench-${String(process.pid)}`);
  if (home === undefined || group === undefined || !enter(group)) return machineMeter();
  const leave = () => {
    writeFileSync(join(home, "cgroup.procs"), String(process.pid));
    try {
      rmdirSync(group);
    } catch {
      // a killed process may still exist; an empty group does no harm
    }
  };
  const exit = atExit(leave);
  return {
    read: () => groupSeconds(group) - ownSeconds(),
    method: "a control group of everything but the clients; exact",
    [Symbol.dispose]: () => {
      leave();
      exit[Symbol.dispose]();
    },
  };
}

/** This process's control group, of version 2 or of version 1's controller cpuacct (cgroups(7)). */
function ownGroup(): string | undefined {
  const version2 = existsSync(join(ROOT, "cgroup.controllers"));
  for (const line of readFileSync("/proc/self/cgroup", "utf8").split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (version2 && controllers === "") return join(ROOT, path);
    if (!version2 && controllers.split(",").includes("cpuacct")) {
      return join(ROOT, "cpuacct", path);
    }
  }
  return undefined;
}

function enter(group: string): boolean {
  try {
    mkdirSync(group);
    writeFileSync(join(group, "cgroup.procs"), String(process.pid));
    groupSeconds(group);
    return true;
  } catch {
    return false;
  }
}

function groupSeconds(group: string): number {
  const version1 = join(group, "cpuacct.usage");
  if (existsSync(version1)) return Number(readFileSync(version1, "utf8")) / 1e9;
  const stat = readFileSync(join(group, "cpu.stat"), "utf8");
  const microseconds = /^usage_usec (\d+)$/m.exec(stat)?.[1];
  if (microseconds === undefined) throw new Error(`${group}: no usage_usec in cpu.stat`);
  return Number(microseconds) / 1e6;
}

function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function machineMeter(): CpuMeter {
  return {
    read: () => machineSeconds() - ownSeconds(),
    method:
      "all that the machine did (/proc/stat) but the clients; too high by whatever else was running, sampled at each clock tick",
    [Symbol.dispose]: () => undefined,
  };
}

function machineSeconds(): number {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}
