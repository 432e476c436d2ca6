/**
 * `popbsmtp serve`: the life of the daemon's process.
 *
 *     configured()   reads the configuration; while it is invalid, logins are accepted, not recorded
 *     serving()      records logins and answers lookups; retries what could not be set up
 *
 * A daemon that opens its own sockets exits if something is wrong at the start. If Dovecot's master
 * or systemd passed it a login socket, exiting would refuse logins, so that only a signal or the
 * exit of Dovecot's master ends it. Once it has dropped root's privileges, it solves a problem that
 * needs root by exiting: its supervisor starts it again, and logins wait in the socket.
 */
import { reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import { fallbackAccount, isRoot } from "../system/privileges.ts";
import { DovecotMaster } from "./sockets/dovecot-master.ts";
import { survivingErrors } from "./log/internal-error.ts";
import { lettingIn } from "./sockets/let-in.ts";
import { Listeners } from "./sockets/listeners.ts";
import { isLogin, roleNamed } from "./sockets/roles.ts";
import { lineStyle } from "./log/log-line.ts";
import { createLog } from "./log/log.ts";
import { isNetworkSource } from "./network/network-sources.ts";
import { Orders } from "./orders.ts";
import { Problems } from "./problems.ts";
import { AGAIN_MS, become, LAST_ANSWERS_MS, type ServeOptions, type Service } from "./service.ts";
import { serving } from "./serving.ts";
import { stderrWriter } from "./log/stderr.ts";
import { Systemd, systemdSockets } from "./sockets/systemd.ts";

/**
 * Serves until SIGTERM, SIGINT, or the exit of Dovecot's master. Resolves when the work in progress
 * is done.
 *
 * @throws PopbsmtpError if the daemon cannot start and no login depends on it
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { env, pid } = process;
  const log = createLog({
    level: "info",
    style: lineStyle({ env, pid, now: options.now }),
    write: stderrWriter(),
  });
  using stack = new DisposableStack();
  stack.use(survivingErrors(log));
  using master = DovecotMaster.from(env);
  using orders = new Orders(master?.ended);
  const systemd = Systemd.from(env, (reason) => log.warning("systemd-notify-failed", { reason }));
  const handed = master?.sockets ?? systemdSockets(env);
  const listeners = new Listeners({ onLogins: (open) => master?.connections(open), log });
  const problems = new Problems(log);
  const isHeld = handed.some(({ name }) => isLogin(roleNamed(name)));
  const service = { ...options, log, master, systemd, orders, handed, isHeld, listeners, problems };
  try {
    const unnamed = await take(service);
    master?.attend();
    const config = await configured(service);
    if (config !== undefined) await serving(config, unnamed, service);
  } catch (error) {
    if (!isHeld) throw error;
    // an unforeseen error: the supervisor starts this process again, and meanwhile logins are
    // accepted
    letIn(service, reasonOf(error));
    await orders.next(AGAIN_MS);
  } finally {
    await listeners.close(LAST_ANSWERS_MS);
    log.flush();
  }
}

/** Listens on the passed sockets. Returns a problem for each whose name is unknown. */
async function take({ handed, isHeld, listeners }: Service): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const socket of handed.filter((one) => !isNetworkSource(one))) {
    try {
      await listeners.take(socket);
    } catch (error) {
      if (!isHeld) throw error;
      problems.push(reasonOf(error));
    }
  }
  return problems;
}

/**
 * The configuration, once it can be read; until then logins are accepted. undefined: this process
 * is to exit.
 */
async function configured(service: Service): Promise<Config | undefined> {
  const { load, orders, isHeld, log } = service;
  let saidToRoot: string | undefined;
  for (;;) {
    let reason: string | undefined;
    try {
      const config = await orders.unlessEnded(load());
      if (config === undefined || saidToRoot === undefined) return config;
    } catch (error) {
      if (!isHeld) throw error;
      reason = reasonOf(error);
    }
    // fixed, or not for this user to judge
    if (saidToRoot !== undefined && reason !== saidToRoot) {
      log.info("starting-again", { reason: "as root, to read the configuration" });
      return undefined;
    }
    if (reason !== undefined) {
      if (isRoot()) saidToRoot = reason;
      letIn(service, reason);
    }
    if ((await orders.next(AGAIN_MS)) === "end") return undefined;
  }
}

/** From now on logins are accepted but not recorded, and this process is not root. */
function letIn(service: Service, reason: string): void {
  const { listeners, problems, systemd, master, now, log } = service;
  if (problems.report([reason], "not-recording")) {
    systemd?.ready(`logins are accepted but not recorded: ${reason}`);
  }
  listeners.start(lettingIn(now, log));
  if (isRoot()) become(service, master?.account ?? fallbackAccount());
}
