/** Where the daemon's live logins go: into the store together, or into the spool where that takes too long. */
import { RowRefusedError, reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import type { Login, Outcome } from "../login/login.ts";
import type { InHand } from "../spool/in-hand.ts";
import type { Spool } from "../spool/spool.ts";
import type { WriterGroup } from "../writers/group.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

export interface RecorderOptions {
  readonly spool: Spool;
  /** As it is now: a reload changes it. */
  readonly config: () => Pick<Config, "exclude" | "serve">;
  /** Also as it is now. */
  readonly writers: () => Pick<WriterGroup, "away" | "record">;
  /** Told of each login that may relay from now on, before anybody is let in. */
  readonly note: (login: Login, outcome: "committed" | "spooled") => void;
  /** Told of a login that was noted as spooled, and cannot be recorded after all. */
  readonly forget: (login: Login) => void;
  readonly inHand: Pick<InHand, "hold">;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "login">;
}

/** "doubtful": in the spool, and it, or one that was to be committed with it, will never be in the store. */
type Kept = Outcome | "doubtful";

/** Records logins: hands them to the stores' writers, or puts them into the spool where those take too long. */
export class Recorder {
  readonly #options: RecorderOptions;
  /** Logins that are neither in a store nor in the spool. */
  #inHand = 0;
  #emptied: (() => void)[] = [];

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

  /** Resolves when no login is in hand. While they keep coming that may be never. */
  async idle(): Promise<void> {
    if (this.#inHand === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied.push(resolve);
    await promise;
  }

  async #inTime(login: Login): Promise<Kept> {
    const { deadline } = this.#options.config().serve;
    const writers = this.#options.writers();
    // where the spool does not take it, only trying the stores is left
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
        // a row that is refused is for the drain to find and set aside
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

function outcomeOf(kept: Kept): Outcome {
  return kept === "doubtful" ? "spooled" : kept;
}
