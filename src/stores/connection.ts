import { isIPv6 } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { ServerStoreConfig } from "../config/config.ts";
import { PopbsmtpError, RowRefusedError, StoreAwayError } from "../errors.ts";
import { reason, type Complaint } from "./complaint.ts";

/** How long a host may take to let us in, in milliseconds, before the next one is tried. */
export const CONNECT_MS = 3_000;

/** How long a verb may take, in milliseconds. A server that hangs must not hang us. */
const VERB_MS = 5_000;

/** Work on whole tables (an index, VACUUM) may take this long. */
export const MAINTENANCE_MS = 3_600_000;

/** How often a verb is tried that met another writer. */
const TRIES = 5;

/** What differs between two servers' client libraries. */
export interface Driver<Link> {
  /** Connects to one host within {@link CONNECT_MS}; calls `lost` when the connection breaks later. */
  connect(host: string, lost: () => void): Promise<Link>;
  /** Ends a connection in an orderly way. */
  end(link: Link): Promise<void>;
  /** Ends a connection at once, whatever state it is in. */
  destroy(link: Link): void;
  /** Says what an error means. */
  explain(error: unknown): Complaint;
}

interface Connected<Link> {
  readonly link: Link;
  readonly name: string;
}

/**
 * One connection to the first of several hosts that answers.
 *
 * It is made by the first verb that needs it, and again by the next one after anything went wrong with it; it is then the
 * first host's turn again. Verbs take turns on it, so that a transaction is never mixed with something else.
 */
export class Connection<Link> {
  readonly name: string;
  readonly #config: ServerStoreConfig;
  readonly #driver: Driver<Link>;
  #connected: Promise<Connected<Link>> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(config: ServerStoreConfig, driver: Driver<Link>) {
    this.#config = config;
    this.#driver = driver;
    this.name = `${config.driver} ${config.hosts.map((host) => place(config, host)).join(",")}/${config.database}`;
  }

  /**
   * Does `work` with the connection, alone on it, and again where it met another writer.
   *
   * @param limit milliseconds after which the connection is destroyed. Default 5,000.
   * @throws RowRefusedError, StoreAwayError
   */
  use<T>(work: (link: Link) => Promise<T>, limit = VERB_MS): Promise<T> {
    const result = this.#turn.then(() => this.#use(work, limit));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Ends the connection once its verbs are done. The next verb would make a new one. */
  close(): Promise<void> {
    const closed = this.#turn.then(async () => {
      const connected = await this.#connected?.catch(() => undefined);
      this.#connected = undefined;
      if (connected === undefined) return;
      const { link } = connected;
      // a hanging server does not say goodbye
      await withDeadline(this.#driver.end(link), 1_000).catch(() => {});
      this.#driver.destroy(link);
    });
    this.#turn = closed;
    return closed;
  }

  async #use<T>(work: (link: Link) => Promise<T>, limit: number): Promise<T> {
    const { link, name } = await this.#ready();
    try {
      return await withDeadline(
        this.#persistently(() => work(link)),
        limit,
      );
    } catch (error) {
      // our own words on what was found
      if (error instanceof PopbsmtpError) throw error;
      const { kind, text } = this.#driver.explain(error);
      const message = `store: ${name}: ${text}`;
      if (kind === "row") throw new RowRefusedError(message, { cause: error });
      this.#drop(link);
      throw new StoreAwayError(message, { cause: error });
    }
  }

  async #persistently<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (tries === TRIES || this.#driver.explain(error).kind !== "transient") throw error;
        // not in step with the other one
        await delay(Math.random() * 10 * tries);
      }
    }
  }

  #ready(): Promise<Connected<Link>> {
    if (this.#connected !== undefined) return this.#connected;
    const connected = this.#connect(() => {
      // an old connection's last words say nothing about the one that took its place
      if (this.#connected === connected) this.#connected = undefined;
    });
    this.#connected = connected;
    return connected;
  }

  /** Tries the hosts in order. As libpq does, it does not go on after one that will not have us. */
  async #connect(forget: () => void): Promise<Connected<Link>> {
    const causes: unknown[] = [];
    const complaints: string[] = [];
    for (const host of this.#config.hosts) {
      const name = `${place(this.#config, host)}/${this.#config.database}`;
      let connected = false;
      const lost = () => {
        if (connected) forget();
      };
      try {
        const link = await this.#driver.connect(host, lost);
        connected = true;
        return { link, name: `${this.#config.driver} ${name}` };
      } catch (error) {
        const { kind, text } = this.#driver.explain(error);
        causes.push(error);
        complaints.push(`${name}: ${text}`);
        if (kind === "refused") break;
      }
    }
    forget();
    throw new StoreAwayError(`store: ${this.#config.driver} ${complaints.join("; ")}`, {
      cause: causes.length === 1 ? causes[0] : new AggregateError(causes),
    });
  }

  #drop(link: Link): void {
    this.#connected = undefined;
    this.#driver.destroy(link);
  }
}

/** Where a host is, for people: "db.example.org:5432", "[2001:db8::1]:5432", "/run/mysqld/mysqld.sock". */
function place(config: ServerStoreConfig, host: string): string {
  if (host.startsWith("/") && config.driver === "mysql") return host;
  return `${isIPv6(host) ? `[${host}]` : host}:${String(config.port)}`;
}

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`no answer within ${String(ms / 1_000)} s`));
  }, ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The explanation of an error that has nothing to do with this server's own error codes. */
export function unknownTrouble(error: unknown): Complaint {
  return { kind: "away", text: reason(error) };
}
