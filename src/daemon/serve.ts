/**
 * `popbsmtp serve`: from the process it is started as to the daemon it becomes, and to its end.
 *
 *     configured()   the configuration is read. While it is wrong, logins are let in and not recorded.
 *     serving()      logins are recorded, lookups answered. What could not be set up is tried again now and then.
 *
 * Started by hand, or with sockets of its own, what is wrong at the start ends it. Where Dovecot's master or systemd has handed it a
 * login socket, that would refuse logins: there only a signal ends it, or the end of Dovecot's master. Once it is root no more, what
 * only root can mend is mended by a process that is started again: it ends, whoever started it starts it, and logins wait in the socket.
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
 * Serves until SIGTERM, SIGINT, or the end of Dovecot's master, and resolves when all that was in hand is done.
 *
 * @throws PopbsmtpError where it cannot begin and nobody's logins depend on it
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
    // nothing that was thought of: whoever started this process starts it again, and meanwhile logins go on
    letIn(service, reasonOf(error));
    await orders.next(AGAIN_MS);
  } finally {
    await listeners.close(LAST_ANSWERS_MS);
    log.flush();
  }
}

/** Listens at the sockets that were handed over. Returns what is wrong with those whose names say nothing. */
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

/** The configuration, once it can be read. Until then logins are let in. undefined: this process is to end. */
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
    // mended; or nothing that this user can judge
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

/** From now on logins are let in and not recorded, and this process is not root. */
function letIn(service: Service, reason: string): void {
  const { listeners, problems, systemd, master, now, log } = service;
  if (problems.report([reason], "not-recording")) {
    systemd?.ready(`logins are accepted but not recorded: ${reason}`);
  }
  listeners.start(lettingIn(now, log));
  if (isRoot()) become(service, master?.account ?? fallbackAccount());
}
