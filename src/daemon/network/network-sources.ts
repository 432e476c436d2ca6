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
import { Datagrams, type Answer } from "../sockets/datagrams.ts";
import { deniedOrOccupied } from "../sockets/endpoint.ts";
import { DracListener } from "./drac-listener.ts";
import type { HandedSocket } from "../sockets/listeners.ts";
import type { Log } from "../log/log.ts";
import type { Metrics, Told } from "../metrics/metrics.ts";
import { Missing, named } from "../sockets/missing.ts";
import type { Clock } from "../../lib/clock.ts";

/** How a source handles a request. */
export interface SourceHooks {
  readonly answer: Answer;
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

interface Open {
  readonly role: Told;
  /** As configured; undefined if the socket was handed over. */
  readonly endpoint: string | undefined;
  readonly source: NetworkSource;
}

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
  readonly #missing: Missing<Open>;
  #serve: ServeConfig;
  #open: readonly Open[] = [];
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
    this.#missing = new Missing(options.log);
  }

  async #openAll(): Promise<void> {
    const { handed, mayMiss, patience } = this.#options;
    const places: (readonly [Told, PortEndpoint | HandedSocket])[] = [
      ...handed.filter(isNetworkSource).map((socket) => ["relay-ctrl", socket] as const),
      ...wanted(this.#serve),
    ];
    for (const [role, place] of places) {
      if (this.#open.some((open) => open.role === role)) continue;
      const make = (ms: number) => this.#make(role, place, ms);
      const open = mayMiss
        ? await this.#missing.attempt(nameOf(role, place), make, patience)
        : await make(patience);
      if (open !== undefined) this.#open = [...this.#open, open];
    }
  }

  /** The reasons why sockets are missing. */
  get problems(): readonly string[] {
    return this.#missing.problems;
  }

  /**
   * Whether root could not create a socket for a reason that has passed, and only root can create
   * it.
   */
  get needsRoot(): boolean {
    return this.#missing.needsRoot;
  }

  /** Tries again to create the missing sockets. */
  async retry(): Promise<void> {
    const made = await this.#missing.retry();
    this.#open = [...this.#open, ...made];
    for (const open of made) this.#start(open);
  }

  /** The current sockets. */
  get list(): readonly { readonly role: Told; readonly where: string }[] {
    return this.#open.map(({ role, source }) => ({ role, where: source.where }));
  }

  /** Accepts logins from now on. */
  start(hooks: NetworkHooks): void {
    this.#hooks = hooks;
    for (const open of this.#open) this.#start(open);
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
    const kept = this.#open.filter((open) => open.endpoint === undefined);
    const made: Open[] = [];
    const places = wanted(serve).filter(([role]) => kept.every((open) => open.role !== role));
    try {
      for (const [role, place] of places) {
        const endpoint = endpointName(place);
        const same = this.#open.find((open) => open.role === role && open.endpoint === endpoint);
        if (same !== undefined) kept.push(same);
        else if (!this.#missing.has(nameOf(role, place))) {
          made.push(await this.#make(role, place, 0));
        }
      }
      await agreed();
    } catch (error) {
      for (const { source } of made) await source.close(0);
      throw error;
    }
    const old = this.#open;
    this.#open = [...kept, ...made];
    this.#serve = serve;
    this.#missing.keep(places.map(([role, place]) => nameOf(role, place)));
    for (const open of made) this.#start(open);
    for (const open of old) if (!kept.includes(open)) await open.source.close(serve.deadline);
  }

  /**
   * Answers the requests that have arrived, and closes, after `patience` milliseconds in any case.
   */
  async close(patience: number): Promise<void> {
    await Promise.all(this.#open.map(({ source }) => source.close(patience)));
    this.#open = [];
  }

  async #make(role: Told, place: PortEndpoint | HandedSocket, patience: number): Promise<Open> {
    try {
      const source = await this.#bind(role, place, patience);
      return { role, endpoint: "port" in place ? endpointName(place) : undefined, source };
    } catch (error) {
      throw named(KEY[role], "port" in place ? deniedOrOccupied(error, place, "udp") : error);
    }
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

  #start({ role: told, source }: Open): void {
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
    source.start({
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

function wanted(serve: ServeConfig): readonly (readonly [Told, PortEndpoint])[] {
  const places = [
    ["drac", serve.drac],
    ["relay-ctrl", serve.relayCtrlUdp],
  ] as const;
  return places.flatMap(([role, place]) => (place === undefined ? [] : [[role, place] as const]));
}

function nameOf(role: Told, place: PortEndpoint | HandedSocket): string {
  return `${role}=${"port" in place ? endpointName(place) : place.name}`;
}
