import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";
import { PLAIN_ENV } from "./run.ts";
import { waitUntil } from "./wait-until.ts";

export interface ServerProcessOptions {
  /** The file to which its stdout and stderr are appended. */
  readonly logFile: string;
  readonly account?: Account | undefined;
  readonly cwd: string;
  /** More variables for its environment. Default: none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Whether it answers; called until it does. */
  readonly ready: () => boolean | Promise<boolean>;
}

/** A server in the foreground, and its descendants. */
export interface ServerProcess {
  readonly pid: number;
  /** Sends a signal to the server first, then to every descendant. */
  signalAll(signal: NodeJS.Signals): void;
  /**
   * Asks the server with a signal to exit with its children; after five seconds they are killed.
   */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Kills the server and all its children at once. */
  kill(): Promise<void>;
}

/** Starts a server and waits until it is ready. If it exits instead, the error contains its log. */
export async function startServerProcess(
  command: string,
  args: readonly string[],
  { logFile, account, cwd, env, ready }: ServerProcessOptions,
): Promise<ServerProcess> {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, {
    // a separate process group, so that an interrupt from the terminal does not reach it before the
    // test's own clean-up
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
    // children notice the end of the server themselves, but not at once
    await waitUntil(`the children of ${command} to end`, () => !pids.some(isAlive));
    exit[Symbol.dispose]();
  };
  const server: ServerProcess = {
    pid,
    signalAll: (signal) => signalEach(family(), signal),
    end: async (signal) => {
      const pids = family();
      signalEach(pids.slice(0, 1), signal);
      // it may be paused
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
      timeout: 120_000,
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
      // it has exited by itself
    }
  }
}

/**
 * A process and its descendants, from the top. The process group does not help, because
 * PostgreSQL's children leave it.
 */
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

/** False also for a zombie, which its new parent may never reap. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${String(pid)}/stat`, "utf8"));
  } catch {
    return false;
  }
}
