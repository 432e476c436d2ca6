/** `popbsmtp serve`: from the process it is started as to the daemon it becomes, and to its end. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import { accountOf, becomeAccount, dropPrivileges, isRoot } from "../privileges.ts";
import type { Store } from "../stores/store.ts";
import { Daemon } from "./daemon.ts";
import { DovecotMaster } from "./dovecot-master.ts";
import { Listeners, type Role } from "./listeners.ts";
import { lineStyle } from "./log-line.ts";
import { createLog, type OwnedLog } from "./log.ts";
import { createMetricsServer } from "./metrics-server.ts";
import { createMetrics } from "./metrics.ts";
import { isNetworkSource, NetworkSources } from "./network-sources.ts";
import { spoolDepth, storeReadings } from "./spool-depth.ts";
import { standIn } from "./stand-in.ts";
import { stderrWriter } from "./stderr.ts";
import { Systemd, systemdSockets } from "./systemd.ts";

/** How long another daemon may take to go away that Dovecot or systemd is replacing by this one. Milliseconds. */
const PATIENCE_MS = 10_000;

/** How long whoever has connected may take, in the end, to ask and to fetch the answer. Milliseconds. */
const LAST_ANSWERS_MS = 1_000;

export interface ServeOptions {
  readonly version: string;
  /** Reads the configuration, at first and again; throws where it is wrong. */
  readonly load: () => Promise<Config>;
  readonly openStore: (config: Config, role: "writer" | "purger") => Promise<Store>;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Serves until SIGTERM, SIGINT, or the end of Dovecot's master, and resolves when all that was in hand is done.
 *
 * @throws PopbsmtpError where it cannot begin
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { load, openStore, now, version } = options;
  const { env, pid } = process;
  const log = createLog({
    level: "info",
    style: lineStyle({ env, pid, now }),
    write: stderrWriter(),
  });
  using master = DovecotMaster.from(env);
  const systemd = Systemd.from(env, (reason) => log.warning("systemd-notify-failed", { reason }));
  const handed = master?.sockets ?? systemdSockets(env);
  const begin = async () => {
    const config = await load();
    return { config, owner: master?.account ?? (isRoot() ? accountOf(config.user) : undefined) };
  };
  let begun: Awaited<ReturnType<typeof begin>>;
  try {
    begun = await begin();
  } catch (error) {
    if (handed.length === 0) throw error;
    systemd?.ready("the configuration is wrong: nothing is recorded");
    const ending = new AbortController();
    const ended = untilTheEnd(master, () => Promise.resolve()).then(() => ending.abort());
    await standIn({ error, handed, attempt: begin, signal: ending.signal, now, log });
    log.flush();
    void ended;
    return;
  }
  const { config, owner } = begun;
  log.level = config.serve.logLevel;
  const replaces = handed.length > 0;
  const patience = replaces ? PATIENCE_MS : 0;
  const listeners = await Listeners.open(config.serve, {
    handed: handed.filter((socket) => !isNetworkSource(socket)),
    owner,
    patience,
    onLogins: (open) => master?.connections(open),
    log,
  });
  const metrics = createMetrics();
  let network: NetworkSources | undefined;
  let daemon: Daemon;
  try {
    network = await NetworkSources.open(config.serve, { handed, patience, log });
    if (master?.account === undefined) dropPrivileges(config.user);
    else becomeAccount(master.account);
    daemon = await Daemon.start({ config, openStore, replaces, log, metrics, now });
  } catch (error) {
    // while there is a listening socket this process would not end
    await listeners.close();
    await network?.close(0);
    throw error;
  }
  const metricsServer = createMetricsServer({
    render: async () =>
      metrics.render({
        version,
        node: process.versions.node,
        driver: daemon.config.stores.map(({ driver }) => driver).join(","),
        known: daemon.known,
        spool: await spoolDepth(config.spool, now()),
        stores: await storeReadings(daemon.config, now()),
      }),
  });
  const connections = new Connections();
  listeners.start((socket, role) => {
    connections.add(socket, role);
    if (role === "policy") daemon.policy(socket);
    else if (role === "socketmap") daemon.socketmap(socket);
    else if (role === "metrics") metricsServer.handle(socket);
    else daemon.postLogin(role, socket);
  });

  network.start({
    record: async (login) => (await daemon.record(login)) !== "lost",
    now: () => daemon.loginTime(),
    metrics,
  });

  const where = [...listeners.list, ...network.list]
    .map((listener) => `${listener.role}=${listener.where}`)
    .join(" ");
  log.info("ready", { version, listens: where });
  systemd?.ready(`listening: ${where}`);
  await untilTheEnd(master, async () => {
    systemd?.reloading();
    await reload(options, daemon, { listeners, network }, log);
    systemd?.ready("reloaded");
  });

  log.info("stopping");
  await systemd?.stopping();
  await listeners.close();
  await Promise.all([
    connections.end(daemon.deadline + LAST_ANSWERS_MS),
    network.close(daemon.deadline + LAST_ANSWERS_MS),
  ]);
  await daemon.stop();
  metricsServer.close();
  log.info("stopped");
  log.flush();
}

/** The new configuration is built and tried first; the old one stays where it does not work. */
async function reload(
  { load }: ServeOptions,
  daemon: Daemon,
  { listeners, network }: { readonly listeners: Listeners; readonly network: NetworkSources },
  log: OwnedLog,
): Promise<void> {
  try {
    const config = await load();
    await listeners.change(config.serve, () =>
      network.change(config.serve, () => daemon.reconfigure(config)),
    );
    log.level = config.serve.logLevel;
    log.info("reloaded");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error("reload-refused", { reason });
  }
}

/** Resolves when this process is to end; calls `onReload` at each SIGHUP, one after the other. */
async function untilTheEnd(
  master: DovecotMaster | undefined,
  onReload: () => Promise<void>,
): Promise<void> {
  let reloading = Promise.resolve();
  const hangUp = () => {
    reloading = reloading.then(onReload);
  };
  process.on("SIGHUP", hangUp);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
    master?.attend(resolve);
  });
  await reloading;
}

/** The connections that are open, to be ended in the end. */
class Connections {
  readonly #logins = new Set<Socket>();
  readonly #others = new Set<Socket>();

  add(socket: Socket, role: Role): void {
    const open = role === "imap" || role === "pop3" ? this.#logins : this.#others;
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  }

  /** Logins get their answers; whoever only asks, asks the next daemon. */
  async end(patience: number): Promise<void> {
    for (const socket of this.#others) socket.destroy();
    const answered = [...this.#logins].map(
      (socket) => new Promise((resolve) => socket.once("close", resolve)),
    );
    await Promise.race([Promise.all(answered), sleep(patience, undefined, { ref: false })]);
    for (const socket of this.#logins) socket.destroy();
  }
}
