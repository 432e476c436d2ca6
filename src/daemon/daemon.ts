/**
 * The core of the daemon: what it does with connections, wherever they come from.
 *
 *     dict, imap, pop3    -> Recorder -> writers, or spool    (logins)
 *     mail logs           -> Watcher  -> spool                (logins)
 *     spool               -> drain    -> writers              (logins that the others left)
 *     a store's own spool -> drain    -> its writer           (logins that it has not taken)
 *     policy, socketmap   <- KnownAuthorizations <- stores    (lookups)
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { withDeadline } from "../lib/deadline.ts";
import { EX, PopbsmtpError, StoreAwayError, reasonOf } from "../lib/errors.ts";
import { loginClock, type Login, type Outcome } from "../login/login.ts";
import { drainUntil } from "../drain/drain.ts";
import { mainChannel, startOwnDrains } from "../drain/drains.ts";
import { InHand, recoverInHand } from "../spool/in-hand.ts";
import { Spool } from "../spool/spool.ts";
import { INSTALL_HINT } from "../stores/store.ts";
import { readStores, type StoreReading } from "./metrics/spool-depth.ts";
import { KnownAuthorizations } from "../lookups/known.ts";
import {
  closeStores,
  openStores,
  type ConfiguredStores,
  type OpeningOptions,
} from "./configured-stores.ts";
import { anotherDaemon, makeRoom, refuseAnother, whyNotWritable } from "./spool-problems.ts";
import { startPurger, type Purger } from "./purger.ts";
import { Protocols } from "./protocols.ts";
import { Recorder } from "./recorder.ts";
import { Reports } from "./reports.ts";
import { startWatcher, type Watcher } from "./watcher.ts";

export interface DaemonOptions extends OpeningOptions {
  readonly config: Config;
  /** Whether another daemon may still be exiting: at a reload Dovecot starts the new one first. */
  readonly replaces: boolean;
}

export class Daemon {
  /** Answers connections. */
  readonly protocols: Protocols;
  readonly #options: DaemonOptions;
  readonly #loginClock: Clock;
  readonly #spool: Spool;
  readonly #recorder: Recorder;
  readonly #reports = new Reports();
  readonly #inHand: InHand;
  readonly #known: KnownAuthorizations;
  #config: Config;
  #stores: ConfiguredStores;
  #drain: { readonly ended: Promise<void>; readonly leave: AbortController };
  #isDrainFollowed = false;
  #purger: Purger;
  #watcher: Watcher;

  /** @throws PopbsmtpError (75) if another daemon drains the same spool */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const spool = new Spool(options.config.spool);
    if (!options.replaces) refuseAnother(spool);
    return new Daemon(options, spool, await openStores(options, options.config));
  }

  private constructor(options: DaemonOptions, spool: Spool, stores: ConfiguredStores) {
    const { config, log, metrics, now } = options;
    this.#options = options;
    this.#loginClock = loginClock(now);
    this.#config = config;
    this.#spool = spool;
    this.#stores = stores;
    this.#known = new KnownAuthorizations({
      config: () => this.#config,
      store: () => this.#stores.lookups,
      now,
      // the state of the store follows from writes: it may answer lookups while it takes none
      onFailure: (reason) => log.warning("lookup-failed", { reason }),
    });
    this.#inHand = new InHand(config.spool);
    this.#recorder = new Recorder({
      spool,
      config: () => this.#config,
      writers: () => this.#stores.writers,
      note: (login, outcome) => this.#known.note(login, outcome),
      forget: (login) => this.#known.forget(login),
      inHand: this.#inHand,
      log,
      metrics,
    });
    this.protocols = new Protocols({
      recorder: this.#recorder,
      reports: this.#reports,
      known: this.#known,
      loginClock: this.#loginClock,
      log,
      metrics,
      now,
    });
    this.#drain = this.#startDrain();
    this.#purger = this.#startPurger();
    this.#watcher = this.#startWatcher();
  }

  /** The current configuration, which a reload changes. */
  get config(): Config {
    return this.#config;
  }

  /** The number of authorizations in memory. */
  get known(): number {
    return this.#known.size;
  }

  /** The state of each store. */
  storeReadings(): Promise<readonly StoreReading[]> {
    const { config } = this;
    return readStores(config, this.#stores.writers, this.#options.now());
  }

  /** How long a login may be held. Milliseconds. */
  get deadline(): number {
    return this.#config.serve.deadline;
  }

  /**
   * The problems that keep the daemon from recording and draining, other than the store's.
   *
   * @param isAlone whether another running daemon counts as a problem
   */
  problems(isAlone: boolean): readonly string[] {
    const another = isAlone ? anotherDaemon(this.#spool) : undefined;
    return [whyNotWritable(this.#spool.path) ?? another ?? []].flat();
  }

  /** The time of a login that happens now. */
  loginTime(): number {
    return this.#loginClock();
  }

  /** Records a login from any source; never rejects. */
  record(login: Login): Promise<Outcome> {
    return this.#recorder.record(login);
  }

  /**
   * Switches to another configuration. Logins in progress finish with the old one.
   *
   * @throws if the new one does not work; the old one then stays in force
   */
  async reconfigure(config: Config): Promise<void> {
    for (const key of ["spool", "user"] as const) {
      if (config[key] !== this.#config[key]) {
        throw new PopbsmtpError(
          `${key}: cannot change while the daemon runs; restart it`,
          EX.CONFIG,
        );
      }
    }
    const stores = await openStores(this.#options, config);
    try {
      if ((await stores.lookups.schemaVersion()) === 0) {
        throw new StoreAwayError(
          `store: ${stores.lookups.name}: the tables are missing; ${INSTALL_HINT}`,
        );
      }
    } catch (error) {
      await closeStores(stores);
      throw error;
    }
    const old = this.#stores;
    await this.#purger.stop();
    await this.#watcher.stop();
    this.#config = config;
    this.#stores = stores;
    await this.#stopDrain({ isFollowed: true });
    this.#drain = this.#startDrain();
    this.#purger = this.#startPurger();
    this.#watcher = this.#startWatcher();
    await old.writers.idle();
    await closeStores(old);
  }

  /**
   * Finishes the work in progress and writes what can be written. No new connection may arrive.
   *
   * @param patience how long this may take; a store may hang, but its logins are in the spool.
   *   Milliseconds
   */
  async stop(patience: number): Promise<void> {
    await withDeadline(this.#finish(), patience, () => undefined);
  }

  async #finish(): Promise<void> {
    await this.#purger.stop();
    await this.#watcher.stop();
    await this.#recorder.idle();
    this.#inHand[Symbol.dispose]();
    await this.#stopDrain({ isFollowed: false });
    await closeStores(this.#stores);
  }

  #startDrain() {
    const { log, now } = this.#options;
    const leave = new AbortController();
    const config = this.#config;
    const { writers } = this.#stores;
    const report = (line: string) => log.warning("set-aside", { reason: line });
    const options = {
      now,
      kind: "serve" as const,
      isFollowed: () => this.#isDrainFollowed,
      report,
      onPolling: (reason: string) => log.warning("polling", { reason }),
      onFailure: (error: unknown) => log.error("drain-failed", { reason: reasonOf(error) }),
    };
    const own = startOwnDrains(config, writers, options);
    const main = drainUntil(mainChannel(config, writers, report), leave.signal, {
      ...options,
      // at the start, and between two drains of this daemon, a login may have started a drain
      before: () => {
        makeRoom(this.#spool);
        recoverInHand(this.#spool);
      },
      onCommitted: (logins) => {
        for (const login of logins) this.#known.note(login, "committed");
      },
      onRefused: (login) => this.#known.forget(login),
    });
    // the last logins may still leave work for a store's own drain
    return { ended: main.then(() => own.stop()), leave };
  }

  /** @param isFollowed whether another drain follows at once */
  async #stopDrain({ isFollowed }: { readonly isFollowed: boolean }): Promise<void> {
    this.#isDrainFollowed = isFollowed;
    this.#drain.leave.abort();
    await this.#drain.ended;
  }

  #startPurger(): Purger {
    const { open, log, metrics } = this.#options;
    const config = this.#config;
    return startPurger({
      interval: config.serve.purgeInterval,
      open: () => open.stores(config, { role: "purger" }),
      log,
      metrics,
    });
  }

  #startWatcher(): Watcher {
    const { log, metrics, now } = this.#options;
    return startWatcher(this.#config, {
      now,
      log,
      metrics,
      isKnown: (login) => this.#reports.isKnown("log", login),
      onLogin: (login, outcome) => {
        this.#reports.note("log", login, Promise.resolve(outcome));
        this.#recorder.found(login, outcome);
      },
    });
  }
}
