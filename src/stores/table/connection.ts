import { setTimeout as sleep } from "node:timers/promises";
import type { ServerStoreConfig } from "../../config/config.ts";
import { noAnswerWithin, withDeadline } from "../../lib/deadline.ts";
import { PopbsmtpError, RowRefusedError, StoreAwayError } from "../../lib/errors.ts";
import type { Driver } from "./driver.ts";
import { Hosts, placeOfHost } from "./hosts.ts";

/**
 * How long a host may take to accept a connection. Milliseconds; where there is another host,
 * {@link CONNECT_ONE_MS}.
 */
const CONNECT_MS = 3_000;

/** The same for each of several hosts: the next one may be up. Milliseconds. */
const CONNECT_ONE_MS = 1_000;

/** How long a verb may take, in milliseconds. */
const VERB_MS = 5_000;

/** A statement that has taken this long is asked after, on another connection. Milliseconds. */
const SUSPECT_MS = 500;

/** The longest pause before a verb that met another writer is tried again. Milliseconds. */
const LONGEST_PAUSE_MS = 1_000;

interface Connected<Link> {
  readonly link: Link;
  readonly host: string;
  /** For people: "pgsql db.example.org:5432/mail". */
  readonly name: string;
}

/** A verb was given up: what to do next follows from which of these it is. */
class GivenUp extends Error {
  override name = "GivenUp";
  /**
   * - dead: the server has never got the statement, or its answer is lost; it is well otherwise
   * - hung: the host answers nobody
   * - late: the verb's time is over
   */
  readonly why: "dead" | "hung" | "late";
  constructor(why: GivenUp["why"], message: string) {
    super(message);
    this.why = why;
  }
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
      return await this.#supervised(connected, work, attempt);
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

  /**
   * Does `work` within its time. Where that takes long, the server is asked on another connection
   * whether it is at work on it, and is told to stop in the end: a statement that is merely
   * abandoned would go on waiting there, and keep its connection.
   */
  async #supervised<T>(
    { link, host }: Connected<Link>,
    work: (link: Link) => Promise<T>,
    { end, limit, isLast }: VerbAttempt,
  ): Promise<T> {
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    // not an AbortController: abort() makes an exception with its stack, at each statement
    const verb: Verb = { isSettled: false };
    const result = this.#persistently(() => work(link), end, verb);
    const suspicion = setTimeout(() => {
      void this.#inspect(host, link, verb).then((why) => {
        if (why !== undefined) reject(why);
      });
    }, SUSPECT_MS);
    const late = setTimeout(() => {
      void this.#cancel(host, link);
      reject(new GivenUp("late", noAnswerWithin(limit)));
    }, end - performance.now());
    if (isLast) clearTimeout(suspicion);
    try {
      return await Promise.race([result, givenUp]);
    } finally {
      verb.isSettled = true;
      clearTimeout(suspicion);
      clearTimeout(late);
    }
  }

  /**
   * Why a verb that takes long had better be given up; undefined where the server is at work on it.
   */
  async #inspect(host: string, link: Link, verb: Verb): Promise<GivenUp | undefined> {
    try {
      const isIdle = await this.#beside(host, async (other) => {
        // between two statements of a transaction it is idle for a moment
        for (let looks = 0; looks < 3; looks++) {
          if (verb.isSettled || (await this.#driver.isWorking(other, link))) return false;
          await sleep(50);
        }
        return true;
      });
      return isIdle ? new GivenUp("dead", "the connection is dead") : undefined;
    } catch (error) {
      const { text } = this.#driver.explain(error);
      // with nowhere else to go, waiting is the best there is
      return this.#hosts.hasAlternative ? new GivenUp("hung", `no answer (${text})`) : undefined;
    }
  }

  async #cancel(host: string, link: Link): Promise<void> {
    try {
      await this.#beside(host, (other) => this.#driver.cancel(other, link));
    } catch {
      // a host that cannot be reached cannot be told
    }
  }

  /** Does `work` on a second, short-lived connection to a host. */
  async #beside<T>(host: string, work: (other: Link) => Promise<T>): Promise<T> {
    const other = await this.#driver.connect(host, CONNECT_ONE_MS, () => undefined);
    try {
      return await withDeadline(work(other), CONNECT_ONE_MS);
    } finally {
      this.#driver.destroy(other);
    }
  }

  async #persistently<T>(work: () => Promise<T>, end: number, verb: Verb): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (verb.isSettled || this.#driver.explain(error).kind !== "transient") throw error;
        // not in step with the other one
        const pause = Math.random() * Math.min(10 * 2 ** tries, LONGEST_PAUSE_MS);
        if (performance.now() + pause >= end) throw error;
        await sleep(pause);
      }
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
        return { link, host, name: `${this.#config.driver} ${name}` };
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

interface VerbAttempt {
  /** When it has to be over, by performance.now(). */
  readonly end: number;
  /** How long that was from the start. Milliseconds. */
  readonly limit: number;
  readonly isLast: boolean;
}

/** A verb under way. */
interface Verb {
  /** It has its result, or has been given up. */
  isSettled: boolean;
}

/** The connection is gone, and a fresh one may do better. */
class Moved extends Error {
  override name = "Moved";
}
