/**
 * Does the work of a verb within its time, and asks after it on another connection where that takes
 * long. A statement that is merely abandoned would go on waiting on the server, and keep its
 * connection.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { noAnswerWithin, withDeadline } from "../../lib/deadline.ts";
import type { Driver } from "./driver.ts";

/** How long a second connection may take to be made, and to be used. Milliseconds. */
const BESIDE_MS = 1_000;

/** A statement that has taken this long is asked after, on another connection. Milliseconds. */
const SUSPECT_MS = 500;

/** The longest pause before a verb that met another writer is tried again. Milliseconds. */
const LONGEST_PAUSE_MS = 1_000;

/** A verb was given up: what to do next follows from which of these it is. */
export class GivenUp extends Error {
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

/** How long a verb may take. */
export interface VerbTime {
  /** When it has to be over, by performance.now(). */
  readonly end: number;
  /** How long that was from the start. Milliseconds. */
  readonly limit: number;
}

/** A verb under way. */
interface Verb {
  /** It has its result, or has been given up. */
  isSettled: boolean;
}

/** Runs the verbs of one connection. */
export class Supervision<Link> {
  readonly #driver: Driver<Link>;
  readonly #host: string;
  readonly #link: Link;
  /** Whether there is another host. */
  readonly #hasAlternative: boolean;

  constructor(driver: Driver<Link>, host: string, link: Link, hasAlternative: boolean) {
    this.#driver = driver;
    this.#host = host;
    this.#link = link;
    this.#hasAlternative = hasAlternative;
  }

  /**
   * Does `work` within its time, again where it met another writer, and tells the server to stop in
   * the end.
   *
   * @param isImpatient whether to give up early where a fresh connection may do better
   * @throws GivenUp, or what `work` throws
   */
  async run<T>(
    work: (link: Link) => Promise<T>,
    { end, limit }: VerbTime,
    isImpatient: boolean,
  ): Promise<T> {
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    // not an AbortController: abort() makes an exception with its stack, at each statement
    const verb: Verb = { isSettled: false };
    const result = this.#persistently(() => work(this.#link), end, verb);
    const suspicion = setTimeout(() => {
      void this.#inspect(verb).then((why) => {
        if (why !== undefined) reject(why);
      });
    }, SUSPECT_MS);
    const late = setTimeout(() => {
      void this.#cancel();
      reject(new GivenUp("late", noAnswerWithin(limit)));
    }, end - performance.now());
    if (!isImpatient) clearTimeout(suspicion);
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
  async #inspect(verb: Verb): Promise<GivenUp | undefined> {
    try {
      const isIdle = await this.#beside(async (other) => {
        // between two statements of a transaction it is idle for a moment
        for (let looks = 0; looks < 3; looks++) {
          if (verb.isSettled || (await this.#driver.isWorking(other, this.#link))) return false;
          await sleep(50);
        }
        return true;
      });
      return isIdle ? new GivenUp("dead", "the connection is dead") : undefined;
    } catch (error) {
      const { text } = this.#driver.explain(error);
      // with nowhere else to go, waiting is the best there is
      return this.#hasAlternative ? new GivenUp("hung", `no answer (${text})`) : undefined;
    }
  }

  async #cancel(): Promise<void> {
    try {
      await this.#beside((other) => this.#driver.cancel(other, this.#link));
    } catch {
      // a host that cannot be reached cannot be told
    }
  }

  /** Does `work` on a second, short-lived connection to the same host. */
  async #beside<T>(work: (other: Link) => Promise<T>): Promise<T> {
    const other = await this.#driver.connect(this.#host, BESIDE_MS, () => undefined);
    try {
      return await withDeadline(work(other), BESIDE_MS);
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
}
