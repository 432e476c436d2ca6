/** `popbsmtp serve` alone, under neither Dovecot nor systemd. */
import { createConnection } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startServerProcess } from "../test/support/server-process.ts";
import { postLoginRequest } from "../test/support/serve.ts";

/**
 * Its sockets, by the key of [serve], which is also the name of the file in the daemon's directory.
 */
export const ROLES = ["dict", "imap", "pop3", "policy", "socketmap"] as const;

export interface Daemon extends AsyncDisposable {
  /** The path of a socket. */
  socket(role: (typeof ROLES)[number]): string;
  /**
   * Reports a login as Dovecot's imap does; returns the milliseconds from connecting to the end of
   * the answer.
   */
  login(address: string, user: string): Promise<number>;
  /** Its current memory, and the maximum so far, in MB. */
  memory(): { readonly now: number; readonly most: number };
}

export interface DaemonOptions {
  /** The directory of its sockets and its log. */
  readonly directory: string;
  /** Its process id, once it is ready. */
  readonly pid: () => number | undefined;
}

export async function startDaemon(
  [program = "", ...args]: readonly string[],
  { directory, pid }: DaemonOptions,
): Promise<Daemon> {
  const logFile = join(directory, "log");
  const ready = () => pid() !== undefined && / info ready /.test(readFileSync(logFile, "utf8"));
  const server = await startServerProcess(program, args, { logFile, cwd: "/", ready });
  const socket = (role: (typeof ROLES)[number]) => join(directory, role);
  return {
    socket,
    login: (address, user) => logIn(socket("imap"), address, user),
    memory: () => {
      const status = readFileSync(`/proc/${String(pid())}/status`, "utf8");
      const field = (name: string) =>
        (Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024) / 1e6;
      return { now: field("VmRSS"), most: field("VmHWM") };
    },
    [Symbol.asyncDispose]: () => server.end("SIGTERM"),
  };
}

async function logIn(path: string, address: string, user: string): Promise<number> {
  const start = performance.now();
  const socket = createConnection(path);
  socket.write(postLoginRequest(address, user));
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  if (answer !== `${user}\n`) throw new Error(`${user}: answered ${JSON.stringify(answer)}`);
  return performance.now() - start;
}
