/**
 * The daemon as a service of systemd: socket activation, sd_listen_fds(3), and Type=notify,
 * sd_notify(3).
 */
import { reasonOf } from "../../lib/errors.ts";
import { runProgram } from "../../system/run-program.ts";
import type { HandedSocket } from "./roles.ts";

/** SD_LISTEN_FDS_START. */
const FIRST_SOCKET = 3;

/**
 * The listening sockets that systemd has opened for this process, by their FileDescriptorName= or
 * the names of their units. Removes the variables from `env`.
 */
export function systemdSockets(env: NodeJS.ProcessEnv): readonly HandedSocket[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names = "" } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  // the variables are another process's, and were inherited
  if (pid !== String(process.pid)) return [];
  const byNumber = names.split(":");
  return Array.from({ length: Number(count) }, (_, index) => ({
    name: byNumber[index] ?? "",
    fd: FIRST_SOCKET + index,
  }));
}

/**
 * Notifies systemd of this process's state. systemd receives datagrams at a Unix socket, which Node
 * cannot send, so systemd-notify(1) does: the unit needs NotifyAccess=all. No method throws.
 */
export class Systemd {
  readonly #socket: string;
  readonly #path: string;
  readonly #watchdogMs: number | undefined;
  readonly #onFailure: (reason: string) => void;
  #last: Promise<void> = Promise.resolve();
  #watchdog: NodeJS.Timeout | undefined;

  /**
   * The systemd that expects notifications; undefined if none does. Removes the variables from
   * `env`.
   *
   * @param onFailure called with the reason why a notification failed
   */
  static from(env: NodeJS.ProcessEnv, onFailure: (reason: string) => void): Systemd | undefined {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = env;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
    if (socket === undefined) return undefined;
    const watched = usec !== undefined && (pid === undefined || pid === String(process.pid));
    const path = env["PATH"] ?? "/usr/bin:/bin";
    return new Systemd(socket, path, watched ? Number(usec) / 1_000 : undefined, onFailure);
  }

  private constructor(
    socket: string,
    path: string,
    watchdogMs: number | undefined,
    onFailure: (reason: string) => void,
  ) {
    this.#socket = socket;
    this.#path = path;
    this.#watchdogMs = watchdogMs;
    this.#onFailure = onFailure;
  }

  /** The daemon is ready, initially or after a reload. From now on it feeds the watchdog. */
  ready(status: string): void {
    this.#tell("READY=1", `STATUS=${status}`);
    if (this.#watchdogMs === undefined || this.#watchdog !== undefined) return;
    // at half the time, as sd_watchdog_enabled(3) recommends; a daemon that hangs cannot
    this.#watchdog = setInterval(() => this.#tell("WATCHDOG=1"), this.#watchdogMs / 2).unref();
  }

  /** A reload begins; {@link ready} ends it, whether it succeeded or not. */
  reloading(): void {
    const now = process.hrtime.bigint() / 1_000n;
    this.#tell("RELOADING=1", `MONOTONIC_USEC=${now}`);
  }

  /** A line for `systemctl status`. */
  status(text: string): void {
    this.#tell(`STATUS=${text}`);
  }

  /** The daemon begins to stop. Resolves when systemd knows. */
  async stopping(): Promise<void> {
    clearInterval(this.#watchdog);
    this.#tell("STOPPING=1");
    await this.#last;
  }

  /** In order: a READY=1 must not overtake its RELOADING=1. */
  #tell(...assignments: readonly string[]): void {
    this.#last = this.#last
      .then(() => this.#notify(assignments))
      // rejects if the process cannot be created, for example for lack of memory
      .catch((error: unknown) => this.#onFailure(reasonOf(error)));
  }

  /** Waits until systemd has taken the message. */
  async #notify(assignments: readonly string[]): Promise<void> {
    const env = { NOTIFY_SOCKET: this.#socket, PATH: this.#path };
    const result = await runProgram("systemd-notify", assignments, { env });
    if (result === undefined) this.#onFailure("systemd-notify is not installed");
    else if (!result.ok) this.#onFailure(result.complaint || "systemd-notify fails");
  }
}
