/**
 * The hosts of one database, as this process knows them: which one takes writes, and why the others
 * do not. Every connection of the process shares it, so that logins and lookups go to one server.
 */
import { isIPv6 } from "node:net";
import type { ServerStoreConfig } from "../../config/config.ts";
import { monotonicClock, type MonotonicClock } from "../../lib/clock.ts";

/** A host that failed is tried last for this long. Milliseconds. */
const AVOID_MS = 10_000;

/** What is known of a host. */
export interface HostState {
  /** As messages name it: "db.example.org:5432". */
  readonly place: string;
  /** Whether connections go there. */
  readonly isCurrent: boolean;
  /** Why it was not used when it was last tried; undefined where it was, or has not been tried. */
  readonly problem: string | undefined;
}

interface Failure {
  readonly problem: string;
  readonly at: number;
}

export class Hosts {
  static readonly #known = new WeakMap<ServerStoreConfig, Hosts>();

  /** The hosts of a store, the same ones for every connection that this process makes to it. */
  static of(config: ServerStoreConfig): Hosts {
    const known = this.#known.get(config) ?? new Hosts(config);
    this.#known.set(config, known);
    return known;
  }

  readonly #config: ServerStoreConfig;
  readonly #moment: MonotonicClock;
  readonly #failures = new Map<string, Failure>();
  #current: string | undefined;

  constructor(config: ServerStoreConfig, moment = monotonicClock) {
    this.#config = config;
    this.#moment = moment;
  }

  /** The host that connections go to; undefined before the first, and while none takes writes. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Whether there is another host to turn to. */
  get hasAlternative(): boolean {
    return this.#config.hosts.length > 1;
  }

  get states(): readonly HostState[] {
    return this.#config.hosts.map((host) => ({
      place: placeOfHost(this.#config, host),
      isCurrent: host === this.#current,
      problem: this.#failures.get(host)?.problem,
    }));
  }

  /**
   * The hosts in the order in which to try them: the one that was last in use, then the others as
   * configured, and those that have just failed at the end.
   */
  inOrder(): readonly string[] {
    const now = this.#moment();
    const isAvoided = (host: string) => {
      const failure = this.#failures.get(host);
      return failure !== undefined && now - failure.at < AVOID_MS;
    };
    const rank = (host: string) => (isAvoided(host) ? 2 : host === this.#current ? 0 : 1);
    return this.#config.hosts.toSorted((a, b) => rank(a) - rank(b));
  }

  /** Connections go to this host from now on. */
  use(host: string): void {
    this.#current = host;
    this.#failures.delete(host);
  }

  /** A host did not answer, or does not take writes. */
  fail(host: string, problem: string): void {
    this.#failures.set(host, { problem, at: this.#moment() });
    if (this.#current === host) this.#current = undefined;
  }
}

/** Where a host is: "db.example.org:5432", "[2001:db8::1]:5432", "/run/mysqld/mysqld.sock". */
export function placeOfHost({ driver, port }: ServerStoreConfig, host: string): string {
  if (host.startsWith("/") && driver === "mysql") return host;
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
