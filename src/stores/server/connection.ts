import type { ServerStoreConfig } from "../../config/config.ts";
import { withDeadline } from "../../lib/deadline.ts";
import { PopbsmtpError, RowRefusedError, StoreAwayError } from "../../lib/errors.ts";
import type { Driver } from "./driver.ts";
import { Hosts, placeOfHost } from "./hosts.ts";
import { GivenUp, Supervision, type VerbTime } from "./supervision.ts";

/**
 * How long a host may take to accept a connection. Milliseconds; where there is another host,
 * {@link CONNECT_ONE_MS}.
 */
const CONNECT_MS = 3_000;

/** The same for each of several hosts: the next one may be up. Milliseconds. */
const CONNECT_ONE_MS = 1_000;

/** How long a verb may take, in milliseconds. */
const VERB_MS = 5_000;

interface Connected<Link> {
  readonly link: Link;
  readonly supervision: Supervision<Link>;
  readonly host: string;
  /** For people: "pgsql db.example.org:5432/mail". */
  readonly name: string;
}

/**
 * A connection to the one of several hosts that takes writes (libpq's
 * target_session_attrs=read-write).
 *
 * It is made by the first verb that needs it, and again by the next one after anything went wrong
 * with it. Verbs take turns on it, so that a transaction is never mixed with something else. Every
 * verb is idempotent: where the connection turns out to be dead, or its host read-only or hung, the
 * verb is tried once more on a fresh connection.
 */
export class Connection<Link> {
  readonly #config: ServerStoreConfig;
  readonly #driver: Driver<Link>;
  readonly #hosts: Hosts;
  #connected: Promise<Connected<Link>> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(config: ServerStoreConfig, driver: Driver<Link>) {
    this.#config = config;
    this.#driver = driver;
    this.#hosts = Hosts.of(config);
  }

  /**
   * For people: the host in use, "pgsql db.example.org:5432/mail", or all of them while none is.
   */
  get name(): string {
    const { driver, hosts, database } = this.#config;
    const { current } = this.#hosts;
    const places = (current === undefined ? hosts : [current]).map((host) =>
      placeOfHost(this.#config, host),
    );
    return `${driver} ${places.join(",")}/${database}`;
  }

  /**
   * Does `work` with the connection, alone on it, and again where it met another writer.
   *
   * @param limit milliseconds after which it is given up. Default 5,000.
   * @throws RowRefusedError, StoreAwayError
   */
  use<T>(work: (link: Link) => Promise<T>, limit = VERB_MS): Promise<T> {
    const result = this.#turn.then(() => this.#use(work, limit));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Ends the connection once its verbs are done. The next verb would make a new one. */
  close(): Promise<void> {
    const closed = this.#turn.then(() => this.#leave());
    this.#turn = closed;
    return closed;
  }

  async #use<T>(work: (link: Link) => Promise<T>, limit: number): Promise<T> {
    const attempt: VerbAttempt = { end: performance.now() + limit, limit, isLast: false };
    try {
      return await this.#try(work, attempt);
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
      return await this.#try(work, { ...attempt, isLast: true });
    }
  }

  /** @throws Moved where a fresh connection may do better */
  async #try<T>(work: (link: Link) => Promise<T>, attempt: VerbAttempt): Promise<T> {
    const connected = await this.#ready();
    try {
      return await connected.supervision.run(work, attempt, !attempt.isLast);
    } catch (error) {
      // our own words on what was found
      if (error instanceof PopbsmtpError) throw error;
      const { kind, text } = this.#driver.explain(error);
      const message = `store: ${connected.name}: ${text}`;
      if (kind === "row") throw new RowRefusedError(message, { cause: error });
      this.#drop(connected.link);
      const why = error instanceof GivenUp ? error.why : kind;
      if (why === "read-only" || why === "hung" || why === "late") {
        this.#hosts.fail(connected.host, text);
      }
      const isWorthTrying =
        why === "read-only" || why === "hung" || why === "dead" || why === "lost";
      if (isWorthTrying && !attempt.isLast) throw new Moved();
      throw new StoreAwayError(message, { cause: error });
    }
  }

  async #ready(): Promise<Connected<Link>> {
    const connected = await this.#connected?.catch(() => undefined);
    const { current } = this.#hosts;
    if (connected !== undefined && this.#connected !== undefined) {
      if (current === undefined || connected.host === current) return connected;
      // another connection of this process has moved on, and answers have to agree
      await this.#leave();
    }
    const connecting = this.#connect(() => {
      // an old connection's last words say nothing about the one that took its place
      if (this.#connected === connecting) this.#connected = undefined;
    });
    this.#connected = connecting;
    return connecting;
  }

  async #connect(forget: () => void): Promise<Connected<Link>> {
    const causes: unknown[] = [];
    const complaints: string[] = [];
    const timeout = this.#hosts.hasAlternative ? CONNECT_ONE_MS : CONNECT_MS;
    for (const host of this.#hosts.inOrder()) {
      const name = `${placeOfHost(this.#config, host)}/${this.#config.database}`;
      try {
        const link = await this.#connectTo(host, timeout, forget);
        this.#hosts.use(host);
        const supervision = new Supervision(this.#driver, host, link, this.#hosts.hasAlternative);
        return { link, supervision, host, name: `${this.#config.driver} ${name}` };
      } catch (error) {
        const { kind, text } = this.#driver.explain(error);
        this.#hosts.fail(host, text);
        causes.push(error);
        complaints.push(`${name}: ${text}`);
        // as libpq does: the next host would say the same
        if (kind === "refused") break;
      }
    }
    forget();
    throw new StoreAwayError(`store: ${this.#config.driver} ${complaints.join("; ")}`, {
      cause: causes.length === 1 ? causes[0] : new AggregateError(causes),
    });
  }

  /** Rejects also where the host takes no writes and there is another one. */
  async #connectTo(host: string, timeout: number, forget: () => void): Promise<Link> {
    let isReady = false;
    const link = await this.#driver.connect(host, timeout, () => {
      if (isReady) forget();
    });
    try {
      if (this.#hosts.hasAlternative) {
        const readOnly = await withDeadline(this.#driver.readOnly(link), timeout);
        if (readOnly !== undefined) throw new Error(readOnly);
      }
      isReady = true;
      return link;
    } catch (error) {
      this.#driver.destroy(link);
      throw error;
    }
  }

  #drop(link: Link): void {
    this.#connected = undefined;
    this.#driver.destroy(link);
  }

  async #leave(): Promise<void> {
    const connected = await this.#connected?.catch(() => undefined);
    this.#connected = undefined;
    if (connected === undefined) return;
    const { link } = connected;
    // a hanging server does not say goodbye
    await withDeadline(this.#driver.end(link), 1_000).catch(() => {});
    this.#driver.destroy(link);
  }
}

interface VerbAttempt extends VerbTime {
  readonly isLast: boolean;
}

/** The connection is gone, and a fresh one may do better. */
class Moved extends Error {
  override name = "Moved";
}
