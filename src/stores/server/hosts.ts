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

/** The host in use has changed. Hosts are named as messages name them. */
export interface HostChange {
  readonly host: string;
  /** The one before; undefined at first. */
  readonly from: string | undefined;
  /**
   * Why that one is no longer in use; at first, why others were skipped. Undefined if there is no
   * reason.
   */
  readonly reason: string | undefined;
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
  /** The one in use, or the last that was. */
  #last: string | undefined;
  #followers: ((change: HostChange) => void)[] = [];

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
    const from = this.#last;
    this.#current = host;
    this.#last = host;
    this.#failures.delete(host);
    if (host === from) return;
    const change = this.#change(host, from);
    for (const tell of this.#followers) tell(change);
  }

  /** Continues with the host in use in `before`, the same hosts under an earlier configuration. */
  goOnWith(before: Hosts): void {
    const host = before.#last;
    if (host === undefined || !this.#config.hosts.includes(host)) return;
    this.#current = host;
    this.#last = host;
  }

  /** Calls `tell` with the host in use, if any, and at each change. */
  follow(tell: (change: HostChange) => void): void {
    this.#followers.push(tell);
    if (this.#last !== undefined) tell(this.#change(this.#last, undefined));
  }

  /** A host did not answer, or does not take writes. */
  fail(host: string, problem: string): void {
    this.#failures.set(host, { problem, at: this.#moment() });
    if (this.#current === host) this.#current = undefined;
  }

  #change(host: string, from: string | undefined): HostChange {
    const place = (each: string) => placeOfHost(this.#config, each);
    const reasons = this.#config.hosts.flatMap((each) => {
      const { problem } = this.#failures.get(each) ?? {};
      if (problem === undefined) return [];
      if (from === undefined) return [`${place(each)}: ${problem}`];
      return each === from ? [problem] : [];
    });
    return {
      host: place(host),
      from: from === undefined ? undefined : place(from),
      reason: reasons.length === 0 ? undefined : reasons.join("; "),
    };
  }
}

/** Where a host is: "db.example.org:5432", "[2001:db8::1]:5432", "/run/mysqld/mysqld.sock". */
export function placeOfHost({ driver, port }: ServerStoreConfig, host: string): string {
  if (host.startsWith("/") && driver === "mysql") return host;
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
