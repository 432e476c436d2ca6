/**
 * The daemon as a service of Dovecot's master:
 * `service popbsmtp { executable = /usr/bin/popbsmtp serve }`. See dovecot/core,
 * src/lib-master/master-interface.h:
 *
 *     descriptor 5      a pipe to the master for status records: process id, GENERATION and
 *                       available count, three 32-bit integers in native byte order in one
 *                       write(2). The master kills a process that sends none within 30 s
 *     descriptor 6      the writing end of a pipe. To ask the process to exit, the master closes
 *                       the reading end, or dies
 *     descriptors 7...  SOCKET_COUNT listening sockets; in Dovecot 2.4.0 from 8 on, in 2.4.4 from
 *                       9 on
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { ConfigError } from "../../lib/errors.ts";
import type { Account } from "../../system/privileges.ts";
import type { HandedSocket } from "./roles.ts";

const STATUS = 5;
const MASTER_DEAD = 6;

/** The first descriptors that may be listening sockets. */
const FIRST_SOCKETS = [7, 8, 9];

/**
 * The least time between two status records, in milliseconds: Dovecot's own services spare the
 * master, too.
 */
const STATUS_INTERVAL_MS = 1_000;

/** Dovecot's master, as one of its services sees it. */
export class DovecotMaster implements Disposable {
  /** The listening sockets, with their names in dovecot.conf. */
  readonly sockets: readonly HandedSocket[];
  /**
   * The account of the service's `user`; undefined: root, so that popbsmtp's own configuration
   * decides.
   */
  readonly account: Account | undefined;
  readonly #generation: number;
  readonly #clientLimit: number;
  /**
   * Resolves when the master asks this process to finish and exit, or has died. After a reload, a
   * successor is running by then.
   */
  readonly ended: Promise<void>;
  readonly #end: Socket;
  #sent: number | undefined;
  #available: number;
  #timer: NodeJS.Timeout | undefined;

  /**
   * The master that started this process; undefined if none did. Removes its variables from `env`.
   * To be called while this process is root, if it is.
   *
   * @throws ConfigError if the service is set up so that it cannot work
   */
  static from(env: NodeJS.ProcessEnv): DovecotMaster | undefined {
    return env["DOVECOT_CHILD_PROCESS"] === undefined ? undefined : new DovecotMaster(env);
  }

  private constructor(env: NodeJS.ProcessEnv) {
    if (env["DOVECOT_ACCEPTED_CLIENT_LISTENER_FD"] !== undefined || env["CLIENT_LIMIT"] === "1") {
      throw new ConfigError([
        "dovecot.conf: service popbsmtp: client_limit is 1, but one process serves every login; set client_limit = 1000",
      ]);
    }
    this.#generation = take(env, "GENERATION");
    this.#clientLimit = take(env, "CLIENT_LIMIT");
    this.#available = this.#clientLimit;
    this.account = takeAccount(env);
    this.sockets = takeSockets(env);
    this.#end = readEnd();
    // at once: the master may have closed its end before this process has read its configuration
    this.ended = endOf(this.#end);
    delete env["DOVECOT_CHILD_PROCESS"];
  }

  /** Reports to the master that this process runs. */
  attend(): void {
    this.#send();
  }

  /**
   * Reports, soon, the number of open connections. `doveadm process status` shows what is left of
   * client_limit.
   */
  connections(open: number): void {
    // never 0: the master would then accept connections itself and close them, which rejects the
    // logins. Dovecot's process_limit for imap and pop3 limits them instead
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
      // EAGAIN: the master is busy. EPIPE: it has died, which descriptor 6 reports
      this.#timer = setTimeout(() => this.#send(), STATUS_INTERVAL_MS).unref();
    }
  }
}

/** Dovecot leaves it to the service to become its `user`, which may be root or unset. */
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

/**
 * If the sockets begin further up, these descriptors are closed, or are Node's, which are not
 * sockets.
 */
function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/**
 * A stream that ends when the writing end of descriptor 6's pipe is closed everywhere. Node cannot
 * wait for the poll(2) event of a writing end (POLLERR, once there is no reader). So this process
 * becomes a reader, and closes its own writing end; the master closes both of its ends together.
 */
function readEnd(): Socket {
  let fd: number;
  try {
    fd = openSync(`/proc/self/fd/${MASTER_DEAD}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new ConfigError(
      [
        "dovecot.conf: service popbsmtp: must be started as root (user = root, without drop_priv_before_exec); popbsmtp switches to its own user itself",
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

/** The number in a variable, which is removed. */
function take(env: NodeJS.ProcessEnv, name: string, otherwise?: number): number {
  const text = env[name] ?? otherwise?.toString() ?? "";
  delete env[name];
  if (/^\d+$/.test(text)) return Number(text);
  throw new ConfigError([`Dovecot: ${name}: expected a number in the environment`]);
}
