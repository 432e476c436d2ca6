import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { atExit } from "./at-exit.ts";
import type { Installation } from "./installation.ts";
import type { Enter } from "./rpc-machine.ts";
import { PLAIN_ENV } from "./run.ts";
import { waitUntil } from "./wait-until.ts";

/** The paths of the sockets of `popbsmtp serve`. */
export interface ServeSockets {
  readonly dict: string;
  readonly imap: string;
  readonly pop3: string;
  readonly policy: string;
  readonly socketmap: string;
}

/** The daemon of an {@link Installation}, under neither Dovecot's master nor systemd. */
export interface Serve extends ServeSockets, AsyncDisposable {
  /** The process that runs, or was last to run. */
  readonly pid: number;
  /** The stderr of the daemon and its predecessors so far. */
  log(): string;
  /** Starts it again after {@link kill9} or {@link stop}, and waits until it is ready. */
  start(): Promise<void>;
  /** SIGTERM. Returns the exit status once it has exited; undefined if a signal ended it. */
  stop(): Promise<number | undefined>;
  /** Kills it as a crash does, and waits until it is gone. */
  kill9(): Promise<void>;
  /** SIGHUP. Returns the line that it logs: `reloaded`, or `reload-refused` with the reason. */
  reload(): Promise<string>;
  /** Makes it hang: the kernel still accepts connections, but nothing is answered. */
  pause(): void;
  /** Ends a pause. */
  resume(): void;
}

/**
 * Adds a section [serve] to the installation, with sockets in a directory of their own.
 *
 * @param lines further lines for the section
 */
export function configureServe(box: Installation, lines = ""): ServeSockets {
  const directory = join(box.directory, "run");
  mkdirSync(directory);
  chownSync(directory, box.user.uid, box.user.gid);
  const dict = join(directory, "dict");
  const [imap, pop3] = [join(directory, "imap"), join(directory, "pop3")];
  const [policy, socketmap] = [join(directory, "policy"), join(directory, "socketmap")];
  const sockets = { dict, imap, pop3, policy, socketmap };
  const paths = Object.entries(sockets).map(([role, path]) => `${role} = "${path}"\n`);
  appendFileSync(box.config, `\n[serve]\n${paths.join("")}${lines}\n`);
  return sockets;
}

/**
 * Starts the installation's daemon as root, as an init script does, and waits until it is ready.
 * Killed at dispose.
 *
 * @param lines further lines for the section [serve], such as `deadline = "1s"`; it contains the
 * sockets already
 * @param enter the words that run it elsewhere
 */
export async function startServe(box: Installation, lines = "", enter: Enter = []): Promise<Serve> {
  const sockets = configureServe(box, lines);
  const file = join(box.directory, "serve.log");
  const log = () => readFileSync(file, "utf8");
  let child = spawnServe(box, file, enter);
  const ready = async (from: number) => {
    const said = () => readFileSync(file).subarray(from).toString();
    await waitUntil("popbsmtp serve to be ready", () => hasEnded(child) || isReady(said()));
    if (hasEnded(child)) throw new Error(`popbsmtp serve ended at once: ${said()}`);
  };
  const signal = (name: NodeJS.Signals) => {
    if (!child.kill(name)) throw new Error(`popbsmtp serve is not at work: ${log()}`);
  };
  const end = async (name: NodeJS.Signals) => {
    if (hasEnded(child)) return;
    const exited = once(child, "exit");
    signal(name);
    await exited;
  };
  const exit = atExit(() => void child.kill("SIGKILL"));
  const dispose = async () => {
    await end("SIGKILL");
    exit[Symbol.dispose]();
  };
  try {
    await ready(0);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    ...sockets,
    get pid() {
      return pidOf(child);
    },
    log,
    start: async () => {
      const { size } = statSync(file);
      child = spawnServe(box, file, enter);
      await ready(size);
    },
    stop: async () => {
      await end("SIGTERM");
      return child.exitCode ?? undefined;
    },
    kill9: () => end("SIGKILL"),
    reload: async () => {
      const before = reloads(log()).length;
      signal("SIGHUP");
      await waitUntil("popbsmtp serve to reload", () => reloads(log()).length > before);
      return reloads(log())[before] ?? "";
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    [Symbol.asyncDispose]: dispose,
  };
}

/** The daemon's endpoint: a path, or a port. */
export type Place = string | { readonly host: string; readonly port: number };

/** Sends `request` to a socket, closes its side, and returns the daemon's whole answer. */
export async function askSocket(place: Place, request: string | Uint8Array): Promise<Buffer> {
  const where = typeof place === "string" ? { path: place } : place;
  const socket = createConnection({ ...where, allowHalfOpen: true });
  socket.end(request);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * The request of Dovecot's imap and pop3 processes after a login; the daemon answers it without its
 * first two fields.
 */
export function postLoginRequest(address: string, reply: string): string {
  return `VERSION\tscript-login\t1\t0\n127.0.0.1\t${address}\t${reply}\n`;
}

/**
 * Asks the policy service about a client, as Postfix's smtpd does, and returns the action: OK or
 * DUNNO.
 */
export async function askPolicy(place: Place, address: string): Promise<string> {
  const answer = await askSocket(
    place,
    `request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=${address}\nclient_name=unknown\n\n`,
  );
  return /^action=(.*)\n\n$/.exec(answer.toString())?.[1] ?? `no answer: ${answer.toString()}`;
}

function spawnServe(box: Installation, file: string, enter: Enter): ChildProcess {
  const log = openSync(file, "a");
  const [command, ...words] = [...enter, box.program, "--config", box.config, "serve"];
  const child = spawn(command, words, {
    // a separate process group, so that an interrupt from the terminal does not reach it before the
    // test's own clean-up
    detached: true,
    cwd: "/",
    env: { ...PLAIN_ENV },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  return child;
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error("popbsmtp serve cannot be started");
  return pid;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function isReady(log: string): boolean {
  return / info ready /.test(log);
}

function reloads(log: string): readonly string[] {
  return log.split("\n").filter((line) => / (?:info reloaded|error reload-refused)\b/.test(line));
}
