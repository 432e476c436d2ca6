import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";
import { PLAIN_ENV } from "./run.ts";
import { waitUntil } from "./wait-until.ts";

export interface ServerProcessOptions {
  /** Where its stdout and stderr are appended. */
  readonly logFile: string;
  readonly account?: Account | undefined;
  readonly cwd: string;
  /** More variables for its environment. Default: none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** True once it answers; tried until it does. */
  readonly ready: () => boolean | Promise<boolean>;
}

/** A server in the foreground, and the processes that it starts in its turn. */
export interface ServerProcess {
  readonly pid: number;
  /** Sends a signal to the server first, then to every process below it. */
  signalAll(signal: NodeJS.Signals): void;
  /** Asks the server with a signal to end, and its children with it; after five seconds they are killed. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Kills the server and all its children at once. */
  kill(): Promise<void>;
}

/** Starts a server and waits until it is ready. Where it ends instead, the error says what it logged. */
export async function startServerProcess(
  command: string,
  args: readonly string[],
  { logFile, account, cwd, env, ready }: ServerProcessOptions,
): Promise<ServerProcess> {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, {
    // of its own process group, so that an interrupt from the terminal does not reach it before the test's own clean-up
    detached: true,
    cwd,
    env: { ...PLAIN_ENV, ...env },
    stdio: ["ignore", log, log],
    ...(account !== undefined && { uid: account.uid, gid: account.gid }),
  });
  closeSync(log);
  let running = true;
  const exited = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => {
      running = false;
      resolve();
    });
  });
  const { pid } = child;
  if (pid === undefined) {
    await exited;
    throw new Error(`cannot start ${command}`);
  }

  const family = () => (running ? tree(pid) : []);
  const exit = atExit(() => signalEach(family(), "SIGKILL"));
  const gone = async (pids: readonly number[]) => {
    await exited;
    // children notice by themselves that it is gone, but not at once
    await waitUntil(`the children of ${command} to end`, () => !pids.some(isAlive));
    exit[Symbol.dispose]();
  };
  const server: ServerProcess = {
    pid,
    signalAll: (signal) => signalEach(family(), signal),
    end: async (signal) => {
      const pids = family();
      signalEach(pids.slice(0, 1), signal);
      // it may have been paused
      signalEach(pids, "SIGCONT");
      const killer = setTimeout(() => signalEach(pids, "SIGKILL"), 5_000);
      await gone(pids);
      clearTimeout(killer);
    },
    kill: async () => {
      const pids = family();
      signalEach(pids, "SIGKILL");
      await gone(pids);
    },
  };
  try {
    await waitUntil(`${command} to be ready`, async () => !running || (await ready()), {
      timeout: 30_000,
    });
    if (!running) throw new Error(`${command} ended at once`);
  } catch (cause) {
    await server.kill();
    throw new Error(`${command}: ${readFileSync(logFile, "utf8")}`, { cause });
  }
  return server;
}

function signalEach(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // it has ended by itself
    }
  }
}

/** A process and all below it, from the top. PostgreSQL's children leave the process group, so that is of no use. */
function tree(pid: number): number[] {
  return [pid, ...children(pid).flatMap(tree)];
}

function children(pid: number): number[] {
  try {
    const listed = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
    return listed.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** False also for a zombie: who inherits it may never ask for its status. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${String(pid)}/stat`, "utf8"));
  } catch {
    return false;
  }
}
