import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface RunOptions {
  /** The whole environment. Default: PATH alone. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Its standard input. Default: empty, /dev/null. */
  readonly stdin?: string | Uint8Array;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Milliseconds, after which it is killed (`signal` is then SIGKILL). Default 30,000. */
  readonly timeout?: number;
}

export interface RunResult {
  /** Undefined if a signal ended it. */
  readonly status: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /**
   * The time from before its start until it and all processes with its stdout and stderr have
   * exited.
   */
  readonly ms: number;
}

/** An environment for programs for which the environment does not matter. */
export const PLAIN_ENV: Readonly<Record<string, string>> = {
  PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};

/** Runs a program to its end. Throws only if it cannot be started; a failure is a status. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const start = performance.now();
  const child = spawn(command, args, {
    env: { ...(options.env ?? PLAIN_ENV) },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: options.timeout ?? 30_000,
    killSignal: "SIGKILL",
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.uid !== undefined && { uid: options.uid }),
    ...(options.gid !== undefined && { gid: options.gid }),
  });
  // a program may exit before it has read its input
  child.stdin.on("error", () => {});
  child.stdin.end(options.stdin);
  const ended = new Promise<Pick<RunResult, "status" | "signal">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve({ status: code ?? undefined, signal: signal ?? undefined });
    });
  });
  const [end, stdout, stderr] = await Promise.all([
    ended,
    readAll(child.stdout),
    readAll(child.stderr),
  ]);
  return { ...end, stdout, stderr, ms: performance.now() - start };
}

/** The same for a program that must succeed: returns its stdout, or throws with its output. */
export async function runOk(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { status, signal, stdout, stderr } = await run(command, args, options);
  if (status !== 0) {
    const said = Buffer.concat([stdout, stderr]).toString();
    throw new Error(`${command} ${args.join(" ")}: ${String(status ?? signal)}: ${said}`);
  }
  return stdout.toString();
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
