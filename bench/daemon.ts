/** `popbsmtp serve` on its own, neither under Dovecot nor under systemd. */
import { createConnection } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startServerProcess } from "../test/support/server-process.ts";
import { postLoginRequest } from "../test/support/serve.ts";

/** The sockets it has, by the key of [serve]; a file of that name in the daemon's directory is one. */
export const ROLES = ["dict", "imap", "pop3", "policy", "socketmap"] as const;

export interface Daemon extends AsyncDisposable {
  /** Where it listens. */
  socket(role: (typeof ROLES)[number]): string;
  /** Does what Dovecot's imap does at a login; returns the milliseconds from connecting to the end of the answer. */
  login(address: string, user: string): Promise<number>;
  /** What it has in memory now, and the most that it had. MB. */
  memory(): { readonly now: number; readonly most: number };
}

export interface DaemonOptions {
  /** Where its sockets are, and its log is to be. */
  readonly directory: string;
  /** Its process id, once it is at work. */
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
