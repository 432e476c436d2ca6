/**
 * Being a service of Dovecot's master: `service popbsmtp { executable = /usr/bin/popbsmtp serve }`. dovecot/core,
 * src/lib-master/master-interface.h:
 *
 *     descriptor 5      a pipe to the master for status records: process id, GENERATION, available count, three 32-bit integers in
 *                       native byte order in one write(2). The master kills who has sent none 30 s after the start.
 *     descriptor 6      the writing end of a pipe, whose reading end the master closes, or loses with its life, to say: end
 *     descriptors 7...  SOCKET_COUNT listening sockets; from 8 on in Dovecot 2.4.0, from 9 on in 2.4.4
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { ConfigError } from "../../lib/errors.ts";
import type { Account } from "../../system/privileges.ts";
import type { HandedSocket } from "./listeners.ts";

const STATUS = 5;
const MASTER_DEAD = 6;

/** Where the listening sockets may begin. */
const FIRST_SOCKETS = [7, 8, 9];

/** Status records are sent at most so often: Dovecot's own services, too, spare the master. Milliseconds. */
const STATUS_INTERVAL_MS = 1_000;

/** Dovecot's master, seen from a service of its. */
export class DovecotMaster implements Disposable {
  /** The listening sockets, by the names they have in dovecot.conf. */
  readonly sockets: readonly HandedSocket[];
  /** Whom the service's `user` says to become; undefined: root, that is whom popbsmtp's own configuration says. */
  readonly account: Account | undefined;
  readonly #generation: number;
  readonly #clientLimit: number;
  /** Resolves when the master wants this process to finish what is in hand and end, or is gone. At a reload another one has been started by then. */
  readonly ended: Promise<void>;
  readonly #end: Socket;
  #sent: number | undefined;
  #available: number;
  #timer: NodeJS.Timeout | undefined;

  /**
   * What the master has told this process, or undefined where it was not started by one. The variables are removed from `env`.
   * To be called as root, while it is.
   *
   * @throws ConfigError where the service is set up so that it cannot work
   */
  static from(env: NodeJS.ProcessEnv): DovecotMaster | undefined {
    return env["DOVECOT_CHILD_PROCESS"] === undefined ? undefined : new DovecotMaster(env);
  }

  private constructor(env: NodeJS.ProcessEnv) {
    if (env["DOVECOT_ACCEPTED_CLIENT_LISTENER_FD"] !== undefined || env["CLIENT_LIMIT"] === "1") {
      throw new ConfigError([
        "dovecot.conf: service popbsmtp: client_limit = 1: one process serves all; expected client_limit = 1000",
      ]);
    }
    this.#generation = take(env, "GENERATION");
    this.#clientLimit = take(env, "CLIENT_LIMIT");
    this.#available = this.#clientLimit;
    this.account = takeAccount(env);
    this.sockets = takeSockets(env);
    this.#end = readEnd();
    // from the start: the master may have closed its end before this process had read a line of its configuration
    this.ended = endOf(this.#end);
    delete env["DOVECOT_CHILD_PROCESS"];
  }

  /** Says to the master that this process is up. */
  attend(): void {
    this.#send();
  }

  /** Says, soon, how many connections are open. `doveadm process status` shows what is left of client_limit. */
  connections(open: number): void {
    // never 0: the master would then take connections out of the socket itself, and close them, which refuses the login. How many
    // there are at most is for Dovecot's process_limit of imap and pop3 to say.
    this.#available = Math.max(1, this.#clientLimit - open);
    if (this.#sent === undefined || this.#available === this.#sent) return;
    this.#timer ??= setTimeout(() => this.#send(), STATUS_INTERVAL_MS).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#end.destroy();
  }

  #send(): void {
    this.#timer = undefined;
    if (this.#available === this.#sent) return;
    try {
      writeSync(STATUS, new Uint32Array([process.pid, this.#generation, this.#available]));
      this.#sent = this.#available;
    } catch {
      // EAGAIN: the master is busy. EPIPE: it is gone, of which descriptor 6 tells.
      this.#timer = setTimeout(() => this.#send(), STATUS_INTERVAL_MS).unref();
    }
  }
}

/** Dovecot leaves it to the service to become its `user`, who may also be root or not be set. */
function takeAccount(env: NodeJS.ProcessEnv): Account | undefined {
  const account = { uid: take(env, "RESTRICT_SETUID", 0), gid: take(env, "RESTRICT_SETGID", 0) };
  return account.uid === 0 ? undefined : account;
}

function takeSockets(env: NodeJS.ProcessEnv): readonly HandedSocket[] {
  const names = Array.from({ length: take(env, "SOCKET_COUNT") }, (_, index) => {
    const variable = `SOCKET${index}_SETTINGS`;
    const [name = ""] = (env[variable] ?? "").split("\t");
    delete env[variable];
    return name;
  });
  if (names.length === 0) return [];
  const first = FIRST_SOCKETS.find((fd) => isSocket(fd));
  if (first === undefined) {
    throw new ConfigError(["Dovecot: no listening socket at descriptor 7, 8 or 9"]);
  }
  return names.map((name, index) => ({ name, fd: first + index }));
}

/** What stands there in a Dovecot with sockets further up is nothing, or something of Node's, which has no sockets of its own. */
function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/**
 * A stream that ends when nobody holds the writing end of descriptor 6's pipe any more. Node cannot wait for what poll(2) says of a
 * writing end (POLLERR, once no reader is left); so this process becomes a reader, and lets its own writing end go. Both of the
 * master's ends are closed at the same time.
 */
function readEnd(): Socket {
  let fd: number;
  try {
    fd = openSync(`/proc/self/fd/${MASTER_DEAD}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new ConfigError(
      [
        "dovecot.conf: service popbsmtp: has to be started as root: user = root and no drop_priv_before_exec; popbsmtp becomes its own user by itself",
      ],
      { cause },
    );
  }
  closeSync(MASTER_DEAD);
  return new Socket({ fd, readable: true, writable: false });
}

function endOf(pipe: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  pipe.on("error", () => pipe.destroy()).once("close", () => resolve());
  pipe.resume();
  return promise;
}

/** The number in a variable, which is then removed. */
function take(env: NodeJS.ProcessEnv, name: string, otherwise?: number): number {
  const text = env[name] ?? otherwise?.toString() ?? "";
  delete env[name];
  if (/^\d+$/.test(text)) return Number(text);
  throw new ConfigError([`Dovecot: ${name}: expected a number in the environment`]);
}
