/**
 * Records the daemon's live logins: batched into the store, or into the spool if that takes too
 * long.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RowRefusedError, reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import { refusalOf, type Admission, type Refusal } from "../guards/admission.ts";
import type { Login, Outcome } from "../login/login.ts";
import type { InHand } from "../spool/in-hand.ts";
import type { Spool } from "../spool/spool.ts";
import type { WriterGroup } from "../writers/group.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

/**
 * How long logins that keep no user waiting are gathered for one statement, which also leaves the
 * processors to the login itself. Milliseconds.
 */
const GATHER_MS = 50;

export interface RecorderOptions {
  readonly spool: Spool;
  /** The current configuration, which a reload changes. */
  readonly config: () => Admission & Pick<Config, "serve">;
  /** Also the current one. */
  readonly writers: () => Pick<WriterGroup, "away" | "record">;
  /** Called with each login that authorizes its address from now on, before its user is let in. */
  readonly note: (login: Login, outcome: "committed" | "spooled") => void;
  /** Called with a login that was noted as spooled but cannot be recorded after all. */
  readonly forget: (login: Login) => void;
  readonly inHand: Pick<InHand, "hold">;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "login">;
}

/** "doubtful": the login is in the spool, and a row in its batch was refused, perhaps its own. */
type Kept = Outcome | "doubtful";

/**
 * Passes logins to the stores' writers, or puts them into the spool if the writers take too long.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  /** Logins that are neither in a store nor in the spool yet. */
  #inHand = 0;
  #emptied: (() => void)[] = [];
  /** Resolves when the logins gathered so far are to be written. */
  #gathering: Promise<void> | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the login is in the store or in the spool, at most `deadline` after its arrival;
   * never rejects.
   */
  async record(login: Login): Promise<Outcome> {
    return outcomeOf(await this.#record(login));
  }

  async #record(login: Login): Promise<Kept> {
    const start = performance.now();
    const kept = this.#refusalOf(login) ?? (await this.#inTime(login));
    // a doubtful login counts once the drain has committed it
    if (kept !== "doubtful") this.#note(login, kept);
    const seconds = (performance.now() - start) / 1000;
    // users who wait for their mail come first
    setImmediate(() => this.#tell(login, outcomeOf(kept), seconds));
    return kept;
  }

  /**
   * Records a login that keeps no user waiting. It counts at once, and survives the death of this
   * process. Resolves as {@link record} does.
   */
  async keep(login: Login): Promise<Outcome> {
    const { inHand, note, forget } = this.#options;
    if (this.#refusalOf(login) !== undefined) return this.record(login);
    const release = inHand.hold(login);
    note(login, "spooled");
    await this.#gathered();
    const kept = await this.#record(login);
    if (kept === "doubtful" || kept === "lost") forget(login);
    release();
    return outcomeOf(kept);
  }

  /**
   * Notes a login that another process has put into the spool or refused. It keeps no user waiting.
   */
  found(login: Login, outcome: "spooled" | Refusal): void {
    this.#note(login, outcome);
    this.#tell(login, outcome, undefined);
  }

  #refusalOf(login: Login): Refusal | undefined {
    return refusalOf(login, this.#options.config());
  }

  #note(login: Login, outcome: Outcome): void {
    if (outcome === "committed" || outcome === "spooled") this.#options.note(login, outcome);
  }

  /** @param seconds how long the login was held */
  #tell(login: Login, outcome: Outcome, seconds: number | undefined): void {
    const { log, metrics } = this.#options;
    const { address, user, service } = login;
    metrics.login(service, outcome, seconds);
    log.info("login", { address, user, service, outcome });
  }

  #gathered(): Promise<void> {
    this.#gathering ??= sleep(GATHER_MS).then(() => {
      this.#gathering = undefined;
    });
    return this.#gathering;
  }

  /** Resolves when no login is being recorded, which may be never while they keep arriving. */
  async idle(): Promise<void> {
    await this.#gathering;
    if (this.#inHand === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied.push(resolve);
    await promise;
  }

  async #inTime(login: Login): Promise<Kept> {
    const { deadline } = this.#options.config().serve;
    const writers = this.#options.writers();
    // if the spool does not take the login, only the stores are left to try
    if ((writers.away !== undefined || deadline === 0) && this.#spool(login) === undefined) {
      return "spooled";
    }
    this.#inHand += 1;
    const { promise, resolve } = Promise.withResolvers<Kept>();
    const recording = writers.record(login);
    const timer = setTimeout(() => {
      resolve(recording.giveUp() ? "committed" : this.#toSpool(login));
    }, deadline);
    recording.done.then(
      () => resolve("committed"),
      (error: unknown) => {
        const outcome = this.#toSpool(login);
        // the drain finds and sets aside a refused row
        const isRefused = error instanceof RowRefusedError;
        resolve(isRefused && outcome === "spooled" ? "doubtful" : outcome);
      },
    );
    const kept = await promise;
    clearTimeout(timer);
    this.#inHand -= 1;
    if (this.#inHand === 0) for (const emptied of this.#emptied.splice(0)) emptied();
    return kept;
  }

  #toSpool(login: Login): Outcome {
    const reason = this.#spool(login);
    if (reason === undefined) return "spooled";
    const { address, user } = login;
    this.#options.log.error("login-lost", { address, user, reason });
    return "lost";
  }

  /** Returns why this failed; undefined if it succeeded. */
  #spool(login: Login): string | undefined {
    try {
      this.#options.spool.write(login);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }
}

function outcomeOf(kept: Kept): Outcome {
  return kept === "doubtful" ? "spooled" : kept;
}
