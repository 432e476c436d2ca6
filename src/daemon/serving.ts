/** The running daemon: from root to the configured user, through reloads, to its exit. */
import { reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import {
  accountOf,
  fallbackAccount,
  hasAccount,
  isRoot,
  type Account,
} from "../system/privileges.ts";
import { Daemon } from "./daemon.ts";
import { isLogin } from "./sockets/roles.ts";
import { createMetricsServer } from "./metrics/metrics-server.ts";
import { createMetrics, type RenderedMetrics } from "./metrics/metrics.ts";
import { NetworkSources } from "./network/network-sources.ts";
import { writeProblems } from "./problems.ts";
import { AGAIN_MS, become, LAST_ANSWERS_MS, type Service } from "./service.ts";
import { spoolDepth } from "./metrics/spool-depth.ts";
import { hostReadings, keepHosts, logHosts } from "./store-hosts.ts";

/**
 * How long to wait, while logins wait too, for the sockets of the daemon that this one replaces.
 * Milliseconds.
 */
const PATIENCE_MS = 1_000;

/**
 * When to retry for the first time what failed: the old daemon may have been slow to exit.
 * Milliseconds.
 */
const SOON_MS = 1_000;

/**
 * At the end, how long a store may take for its current statement and the waiting logins.
 * Milliseconds.
 */
const LAST_WRITES_MS = 3_000;

/** The parts of a running daemon, and its problems. */
interface Running {
  readonly service: Service;
  readonly daemon: Daemon;
  readonly network: NetworkSources;
  readonly metrics: RenderedMetrics;
  /** Problems from the start that this process cannot fix. */
  readonly flaws: readonly string[];
  /** The configured user, if no such user exists. */
  readonly unknownUser: string | undefined;
}

/**
 * Serves until this process is to exit or to be restarted.
 *
 * @param flaws problems of the passed sockets
 * @throws PopbsmtpError if the daemon cannot start and no login depends on it
 */
export async function serving(
  config: Config,
  flaws: readonly string[],
  service: Service,
): Promise<void> {
  const { log, listeners, systemd, orders } = service;
  log.level = config.serve.logLevel;
  const work = await begin(config, flaws, service);
  answer(work);
  const where = [...listeners.list, ...work.network.list]
    .map((listener) => `${listener.role}=${listener.where}`)
    .join(" ");
  log.info("ready", { version: service.version, listens: where });
  systemd?.ready(`listening: ${where}`);
  // the problems that another daemon has left there are not this one's
  writeProblems(config.spool, []);
  report(work, false);
  for (let times = 0; ; times++) {
    const order = await orders.next(times === 0 ? SOON_MS : AGAIN_MS);
    if (order === "end") break;
    if (order === "reload") await reload(work);
    await listeners.retry();
    await work.network.retry();
    report(work, times > 0);
    if (mustStartAgain(work)) break;
  }
  await end(work);
}

/** Opens as root what only root can open, then becomes the configured user. */
async function begin(config: Config, flaws: readonly string[], service: Service): Promise<Running> {
  const { listeners, handed, isHeld, log, open, now } = service;
  const { account, unknown } = accountFor(config, service);
  const { dict, imap, pop3 } = config.serve;
  const holdsLogins = isHeld || [dict, imap, pop3].some((socket) => socket !== undefined);
  const replaces = handed.length > 0;
  const patience = replaces ? PATIENCE_MS : 0;
  await listeners.open(config.serve, {
    owner: account,
    patience,
    mayMiss: (role) => isHeld || role === "dict" || (holdsLogins && !isLogin(role)),
  });
  const network = await NetworkSources.open(config.serve, {
    handed,
    patience,
    mayMiss: holdsLogins,
    log,
  });
  try {
    if (account !== undefined) become(service, account);
    const metrics = createMetrics();
    logHosts(config, log);
    const daemon = await Daemon.start({ config, open, replaces, log, metrics, now });
    return {
      service,
      daemon,
      network,
      metrics,
      flaws: unknown === undefined ? flaws : [...flaws, unknown],
      unknownUser: unknown === undefined ? undefined : config.user,
    };
  } catch (error) {
    // a listening socket would keep this process alive
    await network.close(0);
    throw error;
  }
}

/** The account that root is to become; undefined if this process is not root. */
function accountFor(
  { user }: Config,
  { master, isHeld }: Service,
): { readonly account?: Account; readonly unknown?: string } {
  if (master?.account !== undefined) return { account: master.account };
  if (!isRoot()) return {};
  try {
    return { account: accountOf(user) };
  } catch (error) {
    if (!isHeld) throw error;
    const account = fallbackAccount();
    const instead = account.name ?? `user id ${account.uid}`;
    return { account, unknown: `${reasonOf(error)}; until then the daemon runs as ${instead}` };
  }
}

/** From now on connections are answered, those that have waited first. */
function answer({ service, daemon, network, metrics }: Running): void {
  const { listeners, version, now } = service;
  const metricsServer = createMetricsServer({
    render: async () =>
      metrics.render({
        version,
        node: process.versions.node,
        driver: daemon.config.stores.map(({ driver }) => driver).join(","),
        known: daemon.known,
        spool: await spoolDepth(daemon.config.spool, now()),
        stores: await daemon.storeReadings(),
        hosts: hostReadings(daemon.config),
      }),
  });
  listeners.start((socket, role) => {
    if (role === "policy") daemon.protocols.policy(socket);
    else if (role === "socketmap") daemon.protocols.socketmap(socket);
    else if (role === "metrics") metricsServer.handle(socket);
    else if (role === "dict") daemon.protocols.dict(socket);
    else daemon.protocols.postLogin(role, socket);
  });
  network.start({
    record: async (login) => (await daemon.record(login)) !== "lost",
    now: () => daemon.loginTime(),
    metrics,
  });
}

/** @param isSettled whether a replaced daemon should have exited by now */
function report({ service, daemon, network, flaws }: Running, isSettled: boolean): void {
  const { listeners, problems, systemd } = service;
  const found = [
    ...flaws,
    ...listeners.problems,
    ...network.problems,
    ...daemon.problems(isSettled),
  ];
  if (!problems.report(found)) return;
  systemd?.status(found.length === 0 ? "all is well again" : `problems: ${found.join("; ")}`);
  writeProblems(daemon.config.spool, found);
}

/** Whether a problem can be fixed now, but only by a process that starts as root. */
function mustStartAgain({ service, network, unknownUser }: Running): boolean {
  const { listeners, isHeld, log } = service;
  if (!isHeld || isRoot()) return false;
  const reasons = [
    ...(listeners.needsRoot || network.needsRoot ? ["as root, to listen everywhere"] : []),
    ...(unknownUser !== undefined && hasAccount(unknownUser) ? [`as ${unknownUser}`] : []),
  ];
  const [reason] = reasons;
  if (reason !== undefined) log.info("starting-again", { reason });
  return reason !== undefined;
}

/** The new configuration is tried first; if it does not work, the old one stays in force. */
async function reload({ service, daemon, network }: Running): Promise<void> {
  const { load, listeners, log, systemd } = service;
  systemd?.reloading();
  try {
    const config = await load();
    keepHosts(daemon.config, config);
    await listeners.change(config.serve, () =>
      network.change(config.serve, () => daemon.reconfigure(config)),
    );
    log.level = config.serve.logLevel;
    log.info("reloaded");
    logHosts(config, log);
  } catch (error) {
    log.error("reload-refused", { reason: reasonOf(error) });
  }
  systemd?.ready("reloaded");
}

async function end({ service, daemon, network }: Running): Promise<void> {
  const { log, systemd, listeners } = service;
  const patience = daemon.deadline + LAST_ANSWERS_MS;
  log.info("stopping");
  await systemd?.stopping();
  await Promise.all([listeners.close(patience), network.close(patience)]);
  await daemon.stop(LAST_WRITES_MS);
  log.info("stopped");
}
