/**
 * Logins that programs on other hosts tell of: DRAC's clients, and relay-ctrl-send. All there is to say whether they may is the
 * address they come from. There are none unless [serve] says so.
 */
import type { Address, Network } from "../address.ts";
import { endpointName, type PortEndpoint, type ServeConfig } from "../config/config.ts";
import type { Login } from "../login.ts";
import { isThisHost } from "../sources/callers.ts";
import { answerDrac } from "../sources/drac.ts";
import { answerRelayCtrl } from "../sources/relay-ctrl.ts";
import { Datagrams, type Answer } from "./datagrams.ts";
import { DracListener } from "./drac-listener.ts";
import type { HandedSocket } from "./listeners.ts";
import type { Log } from "./log.ts";
import type { Metrics, Told } from "./metrics.ts";

/** What a source does with what comes in. */
export interface SourceHooks {
  readonly answer: Answer;
  readonly isAllowed: (sender: Address) => boolean;
  readonly onMalformed: (why: string) => void;
}

/** One of them. */
export interface NetworkSource {
  /** For people. */
  readonly where: string;
  /** From now on what comes in is answered, and first what has come. */
  start(hooks: SourceHooks): void;
  /** Answers what has come in, and closes; after so many milliseconds whether or not all is answered. */
  close(patience: number): Promise<void>;
}

export interface NetworkSourcesOptions {
  /** Sockets from systemd. Those for listeners.ts are passed over. */
  readonly handed: readonly HandedSocket[];
  /** How long to wait where another daemon listens, for it to go away. Milliseconds. */
  readonly patience: number;
  readonly log: Log;
}

/** What the daemon does for them. */
export interface NetworkHooks {
  /** Records a login, and says whether it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  readonly metrics: Pick<Metrics, "malformed" | "denied">;
}

interface Open {
  /** As the configuration says it; undefined: it was handed over. */
  readonly endpoint: string | undefined;
  readonly source: NetworkSource;
}

const ANSWER = { drac: answerDrac, "relay-ctrl": answerRelayCtrl };

/** Whether a socket that was handed over is one of these, by its name: systemd calls it by its unit's, unless told otherwise. */
export function isNetworkSource({ name }: HandedSocket): boolean {
  return /(?:^|[^a-z0-9])relay-ctrl(?:\.socket)?$/.test(name);
}

export class NetworkSources {
  readonly #options: NetworkSourcesOptions;
  #serve: ServeConfig;
  #open: ReadonlyMap<Told, Open> = new Map();
  #hooks: NetworkHooks | undefined;

  /**
   * Listens everywhere. To be called before root's privileges are dropped; what comes in waits until {@link start}.
   *
   * @throws PopbsmtpError (73, 77) where a socket cannot be made; then there are none
   */
  static async open(serve: ServeConfig, options: NetworkSourcesOptions): Promise<NetworkSources> {
    const sources = new NetworkSources(serve, options);
    const handed = options.handed.find(isNetworkSource);
    if (handed !== undefined) {
      const source = await sources.#bind("relay-ctrl", handed);
      sources.#open = new Map([["relay-ctrl", { endpoint: undefined, source }]]);
    }
    try {
      await sources.change(serve);
    } catch (error) {
      await sources.close(0);
      throw error;
    }
    return sources;
  }

  private constructor(serve: ServeConfig, options: NetworkSourcesOptions) {
    this.#serve = serve;
    this.#options = options;
  }

  /** Where it listens now. */
  get list(): readonly { readonly role: Told; readonly where: string }[] {
    return Array.from(this.#open, ([role, { source }]) => ({ role, where: source.where }));
  }

  /** From now on logins are taken. */
  start(hooks: NetworkHooks): void {
    this.#hooks = hooks;
    for (const [told, { source }] of this.#open) this.#start(told, source);
  }

  /**
   * Does what `serve` says from now on: sockets that stay are not touched.
   *
   * @param agreed what has to succeed, too: once the new sockets are made, and before the others are closed
   * @throws PopbsmtpError (73, 77) where a new one cannot be made, or what `agreed` throws; then everything stays as it was
   */
  async change(serve: ServeConfig, agreed = () => Promise.resolve()): Promise<void> {
    const wanted = new Map<Told, PortEndpoint | undefined>([
      ["drac", serve.drac],
      ["relay-ctrl", serve.relayCtrlUdp],
    ]);
    const open = new Map<Told, Open>();
    const made = new Map<Told, NetworkSource>();
    try {
      for (const [told, place] of wanted) {
        const endpoint = place && endpointName(place);
        const old = this.#open.get(told);
        if (old !== undefined && (old.endpoint === undefined || old.endpoint === endpoint)) {
          open.set(told, old);
        } else if (place !== undefined) {
          const source = await this.#bind(told, place);
          made.set(told, source);
          open.set(told, { endpoint, source });
        }
      }
      await agreed();
    } catch (error) {
      for (const source of made.values()) await source.close(0);
      throw error;
    }
    const old = this.#open;
    this.#open = open;
    this.#serve = serve;
    for (const [told, source] of made) this.#start(told, source);
    for (const [told, { source }] of old) {
      if (open.get(told)?.source !== source) await source.close(serve.deadline);
    }
  }

  /** Answers what has come in, and closes; after so many milliseconds whether or not all is answered. */
  async close(patience: number): Promise<void> {
    await Promise.all(Array.from(this.#open.values(), ({ source }) => source.close(patience)));
    this.#open = new Map();
  }

  #bind(told: Told, place: PortEndpoint | HandedSocket): Promise<NetworkSource> {
    const { patience, log } = this.#options;
    const onDropped = (reason: string) => log.warning("dropped", { protocol: told, reason });
    return told === "drac" && "port" in place
      ? DracListener.open(place, patience, onDropped, log)
      : Datagrams.bind(place, patience, onDropped).then((datagrams) => ({
          where: datagrams.where,
          start: ({ answer }) => datagrams.start(answer),
          close: (ms) => datagrams.close(ms),
        }));
  }

  #start(told: Told, source: NetworkSource): void {
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
