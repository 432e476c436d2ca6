import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runOk } from "../test/support/run.ts";

const SOURCE = fileURLToPath(new URL("load.c", import.meta.url));

/** Compiles the load; returns its path. */
export async function compileLoad(directory: string): Promise<string> {
  const program = join(directory, "load");
  await runOk("cc", ["-O2", "-o", program, SOURCE]);
  return program;
}

export interface LoadOptions {
  /** Asked in turn, again and again, until there are so many answers. */
  readonly requests: readonly string[];
  readonly answers: number;
  /** At once, each with one request under way. */
  readonly connections: number;
  /** Requests a second, each due at its own moment. Default: as soon as a connection has its answer. */
  readonly rate?: number;
  /** What an answer ends with, and the next request follows. Default: the server closes the connection. */
  readonly end?: string;
  /** Which core it is to stay on. Default: the kernel's choice. */
  readonly core?: number;
}

export interface Load {
  readonly answersPerSecond: number;
  /** Milliseconds within which so many of 100 were answered. */
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
}

/** Puts a server on a Unix socket under load (load.c). Throws where it does not answer. */
export async function load(
  program: string,
  socket: string,
  { requests, answers, connections, rate = 0, end = "", core }: LoadOptions,
): Promise<Load> {
  const command = [program, socket, String(connections), String(answers), String(rate), end];
  const [first = "", ...rest] = core === undefined ? command : pinned(core, command);
  const stdin = requests.map((request) => `${request}\0`).join("");
  const printed = await runOk(first, rest, { stdin, timeout: 600_000 });
  const [seconds = NaN, median = NaN, , p99 = NaN, longest = NaN] = printed.split(" ").map(Number);
  return { answersPerSecond: answers / seconds, median, p99, longest };
}

/** The words that run a command on one core (taskset(1)). */
export function pinned(core: number, command: readonly string[]): readonly string[] {
  return ["taskset", "-c", String(core), ...command];
}

/** Two cores that this process may use; twice the same where it has but one. */
export function twoCores(): readonly [number, number] {
  const status = readFileSync("/proc/self/status", "utf8");
  const listed = /^Cpus_allowed_list:\s+(.*)$/m.exec(status)?.[1] ?? "0";
  const cores = listed.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  const [first = 0, second = first] = cores;
  return [first, second];
}
