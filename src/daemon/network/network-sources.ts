/**
 * Logins that programs on other hosts report: DRAC clients, and relay-ctrl-send. Only their
 * addresses tell whether they may. Without the keys in [serve], there are none.
 */
import type { Address, Network } from "../../login/address.ts";
import { endpointName, type PortEndpoint, type ServeConfig } from "../../config/config.ts";
import type { Login } from "../../login/login.ts";
import { isThisHost } from "../../sources/network/callers.ts";
import { answerDrac } from "../../sources/network/drac-calls.ts";
import { answerRelayCtrl } from "../../sources/network/relay-ctrl-reports.ts";
import { Datagrams, type AnswerDatagram } from "../sockets/datagrams.ts";
import { deniedOrOccupied } from "../sockets/endpoint.ts";
import { DracListener } from "./drac-listener.ts";
import type { HandedSocket } from "../sockets/roles.ts";
import type { Log } from "../log/log.ts";
import type { Metrics, Told } from "../metrics/metrics.ts";
import { named } from "../sockets/missing.ts";
import { SocketSet, type Member, type SocketPlace } from "../sockets/socket-set.ts";
import type { Clock } from "../../lib/clock.ts";

/** How a source handles a request. */
export interface SourceHooks {
  readonly answer: AnswerDatagram;
  readonly isAllowed: (sender: Address) => boolean;
  readonly onMalformed: (why: string) => void;
}

/** A source. */
export interface NetworkSource {
  /** For people. */
  readonly where: string;
  /** Answers requests from now on, waiting ones first. */
  start(hooks: SourceHooks): void;
  /**
   * Answers the requests that have arrived, and closes, after `patience` milliseconds in any case.
   */
  close(patience: number): Promise<void>;
}

export interface NetworkSourcesOptions {
  /** Sockets from systemd. Those for listeners.ts are ignored. */
  readonly handed: readonly HandedSocket[];
  /** How long to wait for another daemon to release the endpoint, in milliseconds. */
  readonly patience: number;
  /** Whether the daemon works without a source while it cannot listen. */
  readonly mayMiss: boolean;
  readonly log: Log;
}

/** What the daemon does for the sources. */
export interface NetworkHooks {
  /** Records a login; true if it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  readonly now: Clock;
  readonly metrics: Pick<Metrics, "malformed" | "denied">;
}

type SourcePlace = SocketPlace<Told, NetworkSource>;

const KEY = { drac: "serve.drac", "relay-ctrl": "serve.relay-ctrl-udp" } as const;

const ANSWER = { drac: answerDrac, "relay-ctrl": answerRelayCtrl };

/**
 * Whether a socket that was handed over belongs to a network source, by its name. By default
 * systemd names a socket after its unit.
 */
export function isNetworkSource({ name }: HandedSocket): boolean {
  return /(?:^|[^a-z0-9])relay-ctrl(?:\.socket)?$/.test(name);
}

export class NetworkSources {
  readonly #options: NetworkSourcesOptions;
  readonly #sockets: SocketSet<Told, NetworkSource>;
  #serve: ServeConfig;
  #hooks: NetworkHooks | undefined;

  /**
   * Listens at all endpoints. To be called before root's privileges are dropped; requests wait
   * until {@link start}.
   *
   * @throws PopbsmtpError (73, 77) if a socket that must not be missing cannot be created; then
   * none is
   */
  static async open(serve: ServeConfig, options: NetworkSourcesOptions): Promise<NetworkSources> {
    const sources = new NetworkSources(serve, options);
    try {
      await sources.#openAll();
    } catch (error) {
      await sources.close(0);
      throw error;
    }
    return sources;
  }

  private constructor(serve: ServeConfig, options: NetworkSourcesOptions) {
    this.#serve = serve;
    this.#options = options;
    this.#sockets = new SocketSet(options.log);
  }

  async #openAll(): Promise<void> {
    const { handed, mayMiss, patience } = this.#options;
    const first = handed.filter(isNetworkSource).slice(0, 1);
    const places = first.map((socket) => this.#place("relay-ctrl", socket, mayMiss));
    await this.#sockets.open(places, patience);
    await this.#sockets.open(this.#places(this.#serve, mayMiss), patience);
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
    for (const opened of await this.#sockets.retry()) this.#start(opened);
  }

  /** The current sockets. */
  get list(): readonly { readonly role: Told; readonly where: string }[] {
    return this.#sockets.members.map(({ role, socket }) => ({ role, where: socket.where }));
  }

  /** Accepts logins from now on. */
  start(hooks: NetworkHooks): void {
    this.#hooks = hooks;
    for (const source of this.#sockets.members) this.#start(source);
  }

  /**
   * Changes to the endpoints in `serve`: sockets that stay are not touched.
   *
   * @param agreed must succeed, too; called once the new sockets exist, before the old ones are
   * closed
   * @throws PopbsmtpError (73, 77) if a new socket cannot be created, or the error of `agreed`;
   * then nothing changes
   */
  async change(serve: ServeConfig, agreed = () => Promise.resolve()): Promise<void> {
    const { opened, gone } = await this.#sockets.change(this.#places(serve), agreed);
    this.#serve = serve;
    for (const source of opened) this.#start(source);
    for (const { socket } of gone) await socket.close(serve.deadline);
  }

  /**
   * Answers the requests that have arrived, and closes, after `patience` milliseconds in any case.
   */
  async close(patience: number): Promise<void> {
    await this.#sockets.close(patience);
  }

  /** The endpoints in `serve`. */
  #places(serve: ServeConfig, mayMiss = false): readonly SourcePlace[] {
    const { drac, relayCtrlUdp } = serve;
    return [
      ...(drac === undefined ? [] : [this.#place("drac", drac, mayMiss)]),
      ...(relayCtrlUdp === undefined ? [] : [this.#place("relay-ctrl", relayCtrlUdp, mayMiss)]),
    ];
  }

  #place(role: Told, place: PortEndpoint | HandedSocket, mayMiss: boolean): SourcePlace {
    const isHanded = "fd" in place;
    return {
      role,
      at: isHanded ? place.name : endpointName(place),
      isHanded,
      mayMiss,
      open: async (patience) => {
        try {
          return await this.#bind(role, place, patience);
        } catch (error) {
          throw named(KEY[role], isHanded ? error : deniedOrOccupied(error, place, "udp"));
        }
      },
    };
  }

  #bind(told: Told, place: PortEndpoint | HandedSocket, patience: number): Promise<NetworkSource> {
    const { log } = this.#options;
    const onDropped = (reason: string) => log.warning("dropped", { protocol: told, reason });
    return told === "drac" && "port" in place
      ? DracListener.open(place, patience, onDropped, log)
      : Datagrams.bind(place, patience, onDropped).then((datagrams) => ({
          where: datagrams.where,
          start: ({ answer }) => datagrams.start(answer),
          close: (ms) => datagrams.close(ms),
        }));
  }

  #start({ role: told, socket }: Member<Told, NetworkSource>): void {
    const { log } = this.#options;
    const hooks = this.#hooks;
    if (hooks === undefined) return;
    const { record, now, metrics } = hooks;
    const isAllowed = (sender: Address) => this.#isAllowed(told, sender);
    const onMalformed = (reason: string) => {
      metrics.malformed(told);
      log.warning("malformed-request", { protocol: told, reason });
    };
    const onDenied = (sender: Address) => {
      metrics.denied(told);
      log.warning("denied", { protocol: told, sender });
    };
    const options = { record, now, isAllowed, onMalformed, onDenied };
    socket.start({
      answer: (message, sender) => ANSWER[told](message, sender, options),
      isAllowed,
      onMalformed,
    });
  }

  #isAllowed(told: Told, sender: Address): boolean {
    const { dracAllow, relayCtrlAllow } = this.#serve;
    const isIn = (networks: readonly Network[]) =>
      networks.some((network) => network.contains(sender));
    if (told === "drac" && dracAllow !== undefined) return isIn(dracAllow);
    return isThisHost(sender) || (told === "relay-ctrl" && isIn(relayCtrlAllow));
  }
}
