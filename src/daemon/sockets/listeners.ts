/**
 * Where the daemon listens. A role's sockets come from one place: from whoever started it, Dovecot's master (dovecot-master.ts) or
 * systemd (systemd.ts), or, where none was handed over for the role, from the endpoints that [serve] names.
 *
 * Who may connect to a Unix socket made here:
 *   dict                the owner, and the group of Dovecot's mail processes: whoever connects can authorize any address
 *   imap, pop3          the owner and root, for whoever connects can authorize any address. Dovecot connects as root.
 *   policy, socketmap   anybody on this host: all there is to learn is whether an address may relay
 *   metrics             anybody on this host
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
import { Missing, named } from "./missing.ts";

const ROLES = ["dict", "imap", "pop3", "policy", "socketmap", "metrics"] as const;

/** What is asked at a socket. */
export type Role = (typeof ROLES)[number];

/**
 * How long a connection that asks about relaying may be idle: longer than an SMTP session (smtpd_timeout, 300 s), since Postfix's smtpd
 * waits for a second (smtpd_policy_service_retry_delay) where it finds one closed in the middle of a session. Milliseconds.
 */
const IDLE_MS = 600_000;

/** Dovecot's default_internal_group, which its imap and pop3 processes are in. */
export const DOVECOT_GROUP = "dovecot";

/** How long, in the end, those who keep coming in to log in are let in. Milliseconds. */
const LETTING_IN_MS = 1_000;

/** A listening socket that was there when this process started. */
export interface HandedSocket {
  /** Its name, of which the last word is the role: "popbsmtp-imap". */
  readonly name: string;
  readonly fd: number;
}

export interface Listener {
  readonly role: Role;
  /** For people: a path, host:port, or the name of a socket that was handed over. */
  readonly where: string;
}

export interface ListenersOptions {
  /** Told of how many connections that tell of logins are open, whenever that changes. */
  readonly onLogins?: (open: number) => void;
  readonly log: Log;
}

/** How to make the sockets that were not handed over. */
export interface OpenOptions extends Omit<EndpointOptions, "mode"> {
  /** Whether the daemon does without such a socket while it cannot be made. */
  readonly mayMiss: (role: Role) => boolean;
}

/**
 * Serves a connection. It is half-open: where the client has said all it will say (Exim's readsocket does that), it still reads, and
 * it is for the handler to end() the connection.
 */
export type Handler = (socket: Socket, role: Role) => void;

interface Open extends Listener {
  readonly handed: boolean;
  readonly stop: () => void;
}

/** All the sockets the daemon listens at. Connections wait until {@link Listeners.start}. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #missing: Missing<Open>;
  #open: readonly Open[] = [];
  #handler: Handler | undefined;
  /** Connections that came before there was a handler. */
  #early: (readonly [Socket, Role])[] = [];
  readonly #logins = new Connections();
  readonly #asking: Connections;
  readonly #metrics: Connections;
  #accepted = 0;

  constructor(options: ListenersOptions) {
    this.#options = options;
    this.#missing = new Missing(options.log);
    const { asking, metrics } = descriptorShare();
    this.#asking = new Connections({ most: asking, idle: IDLE_MS });
    this.#metrics = new Connections({ most: metrics });
  }

  /**
   * Listens at a socket from Dovecot's master or systemd.
   *
   * @throws ConfigError where it has no role's name
   */
  async take({ name, fd }: HandedSocket): Promise<void> {
    const role = roleOf(name);
    const server = this.#server(role, name);
    await listening(server.listen({ fd }, BACKLOG), name);
    this.#open = [...this.#open, { role, where: name, handed: true, stop: () => server.close() }];
  }

  /**
   * Listens where `serve` says, and there was no socket for handed over. To be called before root's privileges are dropped.
   *
   * @throws PopbsmtpError (73, 77) where one cannot be made that must not be missing; then none is
   */
  async open(serve: ServeConfig, options: OpenOptions): Promise<void> {
    const made: Open[] = [];
    try {
      for (const [role, endpoint] of this.#wanted(serve)) {
        const make = (patience: number) =>
          this.#make(role, endpoint, serve, { ...options, patience });
        const name = nameOf(role, endpoint);
        const open = options.mayMiss(role)
          ? await this.#missing.attempt(name, make, options.patience)
          : await make(options.patience);
        if (open !== undefined) made.push(open);
      }
    } catch (error) {
      for (const { stop } of made) stop();
      throw error;
    }
    this.#open = [...this.#open, ...made];
  }

  /** What could not be made, and why. */
  get problems(): readonly string[] {
    return this.#missing.problems;
  }

  /** Whether something could not be made as root, for a reason that has gone, and only root can make it. */
  get needsRoot(): boolean {
    return this.#missing.needsRoot;
  }

  /** Tries to make what is missing. */
  async retry(): Promise<void> {
    this.#open = [...this.#open, ...(await this.#missing.retry())];
  }

  /** Where it listens now. */
  get list(): readonly Listener[] {
    return this.#open.map(({ role, where }) => ({ role, where }));
  }

  /** From now on connections are served, those that wait first. */
  start(handler: Handler): void {
    this.#handler = handler;
    for (const [socket, role] of this.#early) if (!socket.destroyed) this.#serve(socket, role);
    this.#early = [];
  }

  /**
   * Listens where `serve` says from now on: endpoints that stay are not touched, and no role that was handed over is.
   *
   * @param agreed what has to succeed, too: once the new ones are made, and before the others are closed
   * @throws PopbsmtpError (73, 77) where a new one cannot be made, or what `agreed` throws; then everything stays as it was
   */
  async change(serve: ServeConfig, agreed = () => Promise.resolve()): Promise<void> {
    const kept = this.#open.filter((open) => open.handed);
    const made: Open[] = [];
    const wanted = this.#wanted(serve);
    try {
      for (const [role, endpoint] of wanted) {
        const where = endpointName(endpoint);
        const same = this.#open.find((open) => open.role === role && open.where === where);
        if (same !== undefined) kept.push(same);
        else if (!this.#missing.has(nameOf(role, endpoint))) {
          made.push(
            await this.#make(role, endpoint, serve, {
              patience: 0,
              owner: undefined,
            }),
          );
        }
      }
      await agreed();
    } catch (error) {
      for (const { stop } of made) stop();
      throw error;
    }
    for (const open of this.#open) if (!kept.includes(open)) open.stop();
    this.#open = [...kept, ...made];
    this.#missing.keep(wanted.map(([role, endpoint]) => nameOf(role, endpoint)));
  }

  /**
   * Stops listening, once whoever is logging in right now has been let in, and ends the connections that are open: logins get their
   * answers; whoever only asks, asks the next daemon.
   *
   * @param patience how long those answers may take. Milliseconds
   */
  async close(patience: number): Promise<void> {
    const end = performance.now() + LETTING_IN_MS;
    for (const { role, stop } of this.#open) if (!isLogin(role)) stop();
    await Promise.all([this.#asking.end(0), this.#metrics.end(0)]);
    // a socket of Dovecot's that a reload has replaced dies with this process, and those waiting in it would be refused
    for (let quiet = 0; quiet < 2 && performance.now() < end;) {
      const before = this.#accepted;
      await turn();
      quiet = this.#accepted === before ? quiet + 1 : 0;
    }
    for (const { role, stop } of this.#open) if (isLogin(role)) stop();
    this.#open = [];
    await this.#logins.end(this.#handler === undefined ? 0 : patience);
  }

  /** Where `serve` wants it to listen, but for the roles that a socket was handed over for. */
  #wanted(serve: ServeConfig): readonly (readonly [Role, Endpoint])[] {
    const handed = this.#open.filter((open) => open.handed);
    return endpoints(serve).filter(([role]) => handed.every((open) => open.role !== role));
  }

  async #make(
    role: Role,
    endpoint: Endpoint,
    serve: ServeConfig,
    options: Omit<EndpointOptions, "mode">,
  ): Promise<Open> {
    const where = endpointName(endpoint);
    const server = this.#server(role, where);
    const mode = role === "dict" ? 0o660 : isLogin(role) ? 0o600 : 0o666;
    const owner = role === "dict" ? withDovecot(options.owner, serve) : options.owner;
    try {
      // where nobody listens at it, Dovecot tries for three seconds at each login
      const mustGo = role === "dict";
      const stop = await listenAt(endpoint, server, { ...options, mode, owner, mustGo });
      return { role, where, handed: false, stop };
    } catch (error) {
      throw named(`serve.${role}`, error);
    }
  }

  #server(role: Role, where: string): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      // nobody listens for it while it waits, and a client may hang up at any time
      socket.on("error", () => socket.destroy());
      if (isLogin(role)) this.#acceptLogin(socket);
      else this.#kind(role).add(socket);
      if (this.#handler === undefined) this.#early.push([socket, role]);
      else this.#serve(socket, role);
    });
    // accept(2) fails: too many open files, most likely. It goes on with the next connection.
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

type LoginRole = "dict" | "imap" | "pop3";

/** Whether logins are told of at this socket. */
export function isLogin(role: Role | undefined): role is LoginRole {
  return role === "dict" || role === "imap" || role === "pop3";
}

/** `owner`, with the group of Dovecot's mail processes where there is one. Only root can give a socket to it. */
function withDovecot(owner: Account | undefined, { dictGroup }: ServeConfig): Account | undefined {
  if (owner === undefined || !isRoot()) return owner;
  const gid = findGroup(dictGroup ?? DOVECOT_GROUP);
  if (gid !== undefined) return { ...owner, gid };
  if (dictGroup === undefined) return owner;
  throw new ConfigError([
    `serve.dict-group: there is no group ${dictGroup}; name the one in Dovecot's default_internal_group`,
  ]);
}

function endpoints(serve: ServeConfig): readonly (readonly [Role, Endpoint])[] {
  return ROLES.flatMap((role) =>
    [serve[role] ?? []].flat().map((endpoint: Endpoint) => [role, endpoint] as const),
  );
}

function nameOf(role: Role, endpoint: Endpoint): string {
  return `${role}=${endpointName(endpoint)}`;
}

/** The role that ends a socket's name; systemd calls one by its unit's name, "popbsmtp-imap.socket", unless told otherwise. */
export function roleNamed(name: string): Role | undefined {
  const word = /[a-z0-9]*$/.exec(name.replace(/\.socket$/, ""))?.[0];
  return ROLES.find((known) => known === word);
}

function roleOf(name: string): Role {
  const role = roleNamed(name);
  if (role !== undefined) return role;
  throw new ConfigError([
    `${name}: a socket of this name was handed over, and does not say what it is for; call it popbsmtp-dict, or by another of: ${[...ROLES, "relay-ctrl"].join(", ")}`,
  ]);
}
