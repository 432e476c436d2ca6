/**
 * The daemon's listening sockets. Those of a role come from one source: from Dovecot's master
 * (dovecot-master.ts) or systemd (systemd.ts), or, if neither handed one over, from the endpoints
 * in [serve].
 *
 * Each Unix socket created here admits
 *
 *     dict                its owner, and the group of Dovecot's mail processes, since a client can
 *                         authorize any address
 *     imap, pop3          its owner and root, since a client can authorize any address; Dovecot
 *                         connects as root
 *     policy, socketmap   all users of this host, who learn only whether an address may relay
 *     metrics             all users of this host
 */
import { createServer, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { endpointName, type Endpoint, type ServeConfig } from "../../config/config.ts";
import { ConfigError } from "../../lib/errors.ts";
import { Connections } from "./connections.ts";
import { descriptorShare } from "./descriptors.ts";
import { listenAt, type EndpointOptions } from "./endpoint.ts";
import { findGroup, isRoot, type Account } from "../../system/privileges.ts";
import { BACKLOG, listening } from "./listening.ts";
import type { Log } from "../log/log.ts";
import { named } from "./missing.ts";
import { isLogin, roleOf, ROLES, type HandedSocket, type Role } from "./roles.ts";
import { SocketSet, type SocketPlace } from "./socket-set.ts";

/**
 * How long a connection for lookups may be idle, in milliseconds: longer than an SMTP session
 * (smtpd_timeout, 300 s). Otherwise Postfix's smtpd would find it closed in the middle of a
 * session, and wait for a second (smtpd_policy_service_retry_delay).
 */
const IDLE_MS = 600_000;

/** Dovecot's default_internal_group, to which its imap and pop3 processes belong. */
export const DOVECOT_GROUP = "dovecot";

/** How long, before the daemon exits, new logins are still let in. Milliseconds. */
const LETTING_IN_MS = 1_000;

export interface Listener {
  readonly role: Role;
  /** For people: a path, host:port, or the name of a socket that was handed over. */
  readonly where: string;
}

export interface ListenersOptions {
  /** Called with the number of open connections that report logins, whenever it changes. */
  readonly onLogins?: (open: number) => void;
  readonly log: Log;
}

/** How to create the sockets that were not handed over. */
export interface OpenOptions extends Omit<EndpointOptions, "mode"> {
  /** Whether the daemon works without a socket of this role while it cannot be created. */
  readonly mayMiss: (role: Role) => boolean;
}

/**
 * Serves a connection. It is half-open: it can still be written after the client has closed its
 * side, as Exim's readsocket does, and the handler has to end() it.
 */
export type Handler = (socket: Socket, role: Role) => void;

interface ListeningSocket {
  /** Stops listening at once. */
  readonly close: () => void;
}

type ListeningPlace = SocketPlace<Role, ListeningSocket>;

/** All listening sockets of the daemon. Connections wait until {@link Listeners.start}. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #sockets: SocketSet<Role, ListeningSocket>;
  #handler: Handler | undefined;
  /** Connections that arrived before there was a handler. */
  #early: (readonly [Socket, Role])[] = [];
  readonly #logins = new Connections();
  readonly #asking: Connections;
  readonly #metrics: Connections;
  #accepted = 0;

  constructor(options: ListenersOptions) {
    this.#options = options;
    this.#sockets = new SocketSet(options.log);
    const { asking, metrics } = descriptorShare();
    this.#asking = new Connections({ most: asking, idle: IDLE_MS });
    this.#metrics = new Connections({ most: metrics });
  }

  /**
   * Listens at a socket from Dovecot's master or systemd.
   *
   * @throws ConfigError if its name does not contain a role
   */
  async take({ name, fd }: HandedSocket): Promise<void> {
    const role = roleOf(name);
    const open = async () => {
      const server = this.#server(role, name);
      await listening(server.listen({ fd }, BACKLOG), name);
      return { close: () => void server.close() };
    };
    await this.#sockets.take({ role, at: name, open });
  }

  /**
   * Listens at the endpoints in `serve` for roles without a socket that was handed over. To be
   * called before root's privileges are dropped.
   *
   * @throws PopbsmtpError (73, 77) if a socket that must not be missing cannot be created; then
   * none is
   */
  open(serve: ServeConfig, { owner, patience, mayMiss }: OpenOptions): Promise<void> {
    return this.#sockets.open(this.#places(serve, owner, mayMiss), patience);
  }

  /** The reasons why sockets are missing. */
  get problems(): readonly string[] {
    return this.#sockets.problems;
  }

  /**
   * Whether root could not create a socket for a reason that has passed, and only root can create
   * it.
   */
  get needsRoot(): boolean {
    return this.#sockets.needsRoot;
  }

  /** Tries again to create the missing sockets. */
  async retry(): Promise<void> {
    await this.#sockets.retry();
  }

  /** The current sockets. */
  get list(): readonly Listener[] {
    return this.#sockets.members.map(({ role, at }) => ({ role, where: at }));
  }

  /** Serves connections from now on, waiting ones first. */
  start(handler: Handler): void {
    this.#handler = handler;
    for (const [socket, role] of this.#early) if (!socket.destroyed) this.#serve(socket, role);
    this.#early = [];
  }

  /**
   * Changes to the endpoints in `serve`. Endpoints that stay are not touched, and neither are roles
   * with a socket that was handed over.
   *
   * @param agreed must succeed, too; called once the new sockets exist, before the old ones are
   * closed
   * @throws PopbsmtpError (73, 77) if a new socket cannot be created, or the error of `agreed`;
   * then nothing changes
   */
  async change(serve: ServeConfig, agreed = () => Promise.resolve()): Promise<void> {
    const { gone } = await this.#sockets.change(this.#places(serve), agreed);
    for (const { socket } of gone) socket.close();
  }

  /**
   * Stops listening, once the logins that are arriving have been let in, and ends the open
   * connections: logins get their answers, and lookups go to the next daemon.
   *
   * @param patience how long those answers may take, in milliseconds
   */
  async close(patience: number): Promise<void> {
    const end = performance.now() + LETTING_IN_MS;
    await this.#sockets.close(0, (role) => !isLogin(role));
    await Promise.all([this.#asking.end(0), this.#metrics.end(0)]);
    // if a reload of Dovecot has replaced a socket, it disappears with this process, and
    // connections waiting in it would be rejected
    for (let quiet = 0; quiet < 2 && performance.now() < end;) {
      const before = this.#accepted;
      await turn();
      quiet = this.#accepted === before ? quiet + 1 : 0;
    }
    await this.#sockets.close(0);
    await this.#logins.end(this.#handler === undefined ? 0 : patience);
  }

  /** The endpoints in `serve`. */
  #places(
    serve: ServeConfig,
    owner?: Account,
    mayMiss: OpenOptions["mayMiss"] = () => false,
  ): readonly ListeningPlace[] {
    return ROLES.flatMap((role) =>
      [serve[role] ?? []].flat().map((endpoint: Endpoint) => ({
        role,
        at: endpointName(endpoint),
        isHanded: false,
        mayMiss: mayMiss(role),
        open: (patience) => this.#listen(role, endpoint, serve, { owner, patience }),
      })),
    );
  }

  async #listen(
    role: Role,
    endpoint: Endpoint,
    serve: ServeConfig,
    options: Omit<EndpointOptions, "mode">,
  ): Promise<ListeningSocket> {
    const server = this.#server(role, endpointName(endpoint));
    const mode = role === "dict" ? 0o660 : isLogin(role) ? 0o600 : 0o666;
    const owner = role === "dict" ? withDovecot(options.owner, serve) : options.owner;
    try {
      // if a socket exists but no process listens, Dovecot tries for three seconds at each login
      const mustGo = role === "dict";
      return { close: await listenAt(endpoint, server, { ...options, mode, owner, mustGo }) };
    } catch (error) {
      throw named(`serve.${role}`, error);
    }
  }

  #server(role: Role, where: string): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      // a waiting connection has no other listener, and its client may disconnect at any time
      socket.on("error", () => socket.destroy());
      if (isLogin(role)) this.#acceptLogin(socket);
      else this.#kind(role).add(socket);
      if (this.#handler === undefined) this.#early.push([socket, role]);
      else this.#serve(socket, role);
    });
    // accept(2) failed, most likely for lack of descriptors; the server continues with the next
    // connection
    server.on("error", ({ message }) => {
      if (server.listening) this.#options.log.error("accept-failed", { role, where, message });
    });
    return server;
  }

  #acceptLogin(socket: Socket): void {
    const { onLogins } = this.#options;
    this.#accepted++;
    this.#logins.add(socket);
    onLogins?.(this.#logins.size);
    socket.once("close", () => onLogins?.(this.#logins.size));
  }

  #kind(role: Role): Connections {
    return role === "metrics" ? this.#metrics : this.#asking;
  }

  #serve(socket: Socket, role: Role): void {
    this.#handler?.(socket, role);
    if (role === "policy" || role === "socketmap") this.#asking.follow(socket);
  }
}

/**
 * `owner`, with the group of Dovecot's mail processes if it exists. Only root can give a socket to
 * it.
 */
function withDovecot(owner: Account | undefined, { dictGroup }: ServeConfig): Account | undefined {
  if (owner === undefined || !isRoot()) return owner;
  const gid = findGroup(dictGroup ?? DOVECOT_GROUP);
  if (gid !== undefined) return { ...owner, gid };
  if (dictGroup === undefined) return owner;
  throw new ConfigError([
    `serve.dict-group: there is no group ${dictGroup}; use the group in Dovecot's default_internal_group`,
  ]);
}
