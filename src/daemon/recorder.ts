/** Where the daemon's live logins go: into the store together, or into the spool where that takes too long. */
import type { Clock } from "../lib/clock.ts";
import { RowRefusedError, reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import type { Login, Outcome } from "../login/login.ts";
import type { InHand } from "../spool/in-hand.ts";
import type { Spool } from "../spool/spool.ts";
import type { Store } from "../stores/store.ts";
import type { Fields, Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

export interface RecorderOptions {
  readonly spool: Spool;
  /** As it is now: a reload changes it. */
  readonly config: () => Pick<Config, "exclude" | "serve">;
  readonly store: () => Pick<Store, "authorize">;
  /** Told of each login that may relay from now on, before anybody is let in. */
  readonly note: (login: Login, outcome: "committed" | "spooled") => void;
  /** Told of a login that was noted as spooled, and cannot be recorded after all. */
  readonly forget: (login: Login) => void;
  readonly inHand: Pick<InHand, "hold">;
  readonly now: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "login" | "batch">;
  /** Told after each statement why the store did not answer; undefined where it did. */
  readonly onStore: (problem: string | undefined) => void;
}

/** "doubtful": in the spool, and it, or one that was to be committed with it, will never be in the store. */
type Kept = Outcome | "doubtful";

interface Waiting {
  readonly login: Login;
  readonly settle: (kept: Kept) => void;
  settled: boolean;
}

/**
 * Records logins. All that come in while a statement is under way are committed by the next one: however many users log in, there is
 * one statement at a time, and nobody waits for more than two.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  #waiting: Waiting[] = [];
  #underWay: Promise<void> | undefined;
  #statement: Promise<void> | undefined;
  /** The store failed, or is taking too long: logins go to the spool at once until somebody says otherwise. */
  #away = false;
  /** The statement under way has outlasted somebody's deadline. */
  #isOverdue = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Resolves once the login is in the store or in the spool, `deadline` at most after it came; never rejects. */
  async record(login: Login): Promise<Outcome> {
    return outcomeOf(await this.#record(login));
  }

  async #record(login: Login): Promise<Kept> {
    const start = performance.now();
    const kept = this.#isExcluded(login) ? "excluded" : await this.#inTime(login);
    // a doubtful one counts once the drain has committed it
    if (kept !== "doubtful") this.#note(login, kept);
    const seconds = (performance.now() - start) / 1000;
    // first whoever waits to read mail
    setImmediate(() => this.#tell(login, outcomeOf(kept), seconds));
    return kept;
  }

  /**
   * Records a login that nobody is held for, and that counts from now on. From now on it also survives this process. Resolves as
   * {@link record} does.
   */
  async keep(login: Login): Promise<Outcome> {
    const { inHand, note, forget } = this.#options;
    if (this.#isExcluded(login)) return this.record(login);
    const release = inHand.hold(login);
    note(login, "spooled");
    const kept = await this.#record(login);
    if (kept === "doubtful" || kept === "lost") forget(login);
    release();
    return outcomeOf(kept);
  }

  /** A login that is in the spool, or excluded, before anybody here has heard of it. Nobody is held for it. */
  found(login: Login, outcome: "spooled" | "excluded"): void {
    this.#note(login, outcome);
    this.#tell(login, outcome, undefined);
  }

  #isExcluded({ address }: Login): boolean {
    return this.#options.config().exclude.some((network) => network.contains(address));
  }

  #note(login: Login, outcome: Outcome): void {
    if (outcome === "committed" || outcome === "spooled") this.#options.note(login, outcome);
  }

  /** @param seconds how long it was held */
  #tell(login: Login, outcome: Outcome, seconds: number | undefined): void {
    const { log, metrics } = this.#options;
    const { address, user, service } = login;
    metrics.login(service, outcome, seconds);
    log.info("login", { address, user, service, outcome });
  }

  /** The drain has committed something. While a statement of this recorder's hangs, the next login would wait for that one. */
  storeIsBack(): void {
    if (!this.#isOverdue) this.#away = false;
  }

  /** Resolves when the store that was there until now is not needed any more: with the statement under way, if there is one. */
  async switched(): Promise<void> {
    await this.#statement;
  }

  /** Resolves when no login is in hand. While they keep coming that may be never. */
  async idle(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
  }

  async #inTime(login: Login): Promise<Kept> {
    const { deadline } = this.#options.config().serve;
    // where the spool does not take it, only trying the store is left
    if ((this.#away || deadline === 0) && this.#spool(login) === undefined) return "spooled";
    const { promise, resolve } = Promise.withResolvers<Kept>();
    const timer = setTimeout(() => {
      this.#away = true;
      this.#isOverdue = true;
      waiting.settle(this.#toSpool(login));
    }, deadline);
    const waiting: Waiting = {
      login,
      settled: false,
      settle: (kept) => {
        waiting.settled = true;
        clearTimeout(timer);
        resolve(kept);
      },
    };
    this.#waiting.push(waiting);
    this.#underWay ??= this.#commitAll().finally(() => (this.#underWay = undefined));
    return promise;
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      this.#statement = this.#commit(batch.filter(({ settled }) => !settled));
      await this.#statement;
    }
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return;
    const { store, now, log, metrics, onStore } = this.#options;
    const start = performance.now();
    const measure = (error?: unknown) => {
      const seconds = (performance.now() - start) / 1000;
      metrics.batch("live", batch.length, seconds, error === undefined);
      log.debug("batch", batchFields("live", batch.length, seconds, error));
    };
    try {
      await store().authorize(
        batch.map(({ login }) => login),
        now(),
      );
      measure();
      onStore(undefined);
      this.#away = false;
      for (const { settled, settle } of batch) if (!settled) settle("committed");
    } catch (error) {
      measure(error);
      // a row that is refused is for the drain to find and set aside
      const isRefused = error instanceof RowRefusedError;
      if (!isRefused) {
        this.#away = true;
        onStore(reasonOf(error));
      }
      for (const { login, settled, settle } of batch) {
        if (settled) continue;
        const outcome = this.#toSpool(login);
        settle(isRefused && outcome === "spooled" ? "doubtful" : outcome);
      }
    } finally {
      this.#isOverdue = false;
    }
  }

  #toSpool(login: Login): Outcome {
    const reason = this.#spool(login);
    if (reason === undefined) return "spooled";
    const { address, user } = login;
    this.#options.log.error("login-lost", { address, user, reason });
    return "lost";
  }

  /** Says why it could not; undefined where it could. */
  #spool(login: Login): string | undefined {
    try {
      this.#options.spool.write(login);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }
}

/** What the log says of a statement, at level debug. */
export function batchFields(
  source: "live" | "spool",
  logins: number,
  seconds: number,
  error: unknown,
): Fields {
  const failed = error instanceof Error ? error.message : undefined;
  return { source, logins, ms: Math.round(seconds * 1000), failed };
}

function outcomeOf(kept: Kept): Outcome {
  return kept === "doubtful" ? "spooled" : kept;
}
