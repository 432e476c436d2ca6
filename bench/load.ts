import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runOk } from "../test/support/run.ts";

const SOURCE = fileURLToPath(new URL("load.c", import.meta.url));

/** Compiles load.c; returns the program's path. */
export async function compileLoad(directory: string): Promise<string> {
  const program = join(directory, "load");
  await runOk("cc", ["-O2", "-o", program, SOURCE]);
  return program;
}

export interface LoadOptions {
  /** Sent in turn, repeatedly, until the server has sent `answers`. */
  readonly requests: readonly string[];
  readonly answers: number;
  /** The number of connections, each with one request at a time. */
  readonly connections: number;
  /**
   * Requests a second, each due at a moment of its own. Default: as soon as a connection has its
   * answer.
   */
  readonly rate?: number;
  /**
   * The end of an answer, after which the next request follows. Default: the server closes the
   * connection.
   */
  readonly end?: string;
  /** The core to run on. Default: the kernel's choice. */
  readonly core?: number;
}

export interface Load {
  readonly answersPerSecond: number;
  /** Milliseconds: the 50th and 99th percentile, and the maximum. */
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
}

/** Puts a server on a Unix socket under load (load.c). Throws if it does not answer. */
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

/** Two cores that this process may use; the same one twice if there is only one. */
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
