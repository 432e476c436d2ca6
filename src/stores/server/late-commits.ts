import type { Login } from "../../login/login.ts";
import { Hosts } from "./hosts.ts";

/** Working replication is never further behind than this. Milliseconds. */
const KEPT_MS = 60_000;

/** The most logins to keep, the last one of each address and user. */
const LIMIT = 10_000;

/** Logins per statement when they are written again. */
const BATCH = 500;

interface Commit {
  readonly login: Login;
  readonly at: number;
}

/**
 * The logins that this process has recently committed to the host in use. After a failover the new
 * host may lack them, so they are owed to it.
 *
 * They are kept while the host is silent, because it is unknown when it failed.
 */
export class LateCommits {
  static readonly #known = new WeakMap<Hosts, LateCommits>();

  /** Returns the same object for all handles of a store in this process. */
  static of(hosts: Hosts): LateCommits {
    const known = this.#known.get(hosts) ?? new LateCommits(hosts);
    this.#known.set(hosts, known);
    return known;
  }

  readonly #moment: () => number;
  /** By address and user, the oldest commit first. */
  readonly #commits = new Map<string, Commit>();
  #owed: Login[] = [];
  #changes = 0;
  #paying: Promise<void> | undefined;

  /** @param moment a monotonic clock, in milliseconds. Default: performance.now */
  constructor(hosts: Hosts, moment = () => performance.now()) {
    this.#moment = moment;
    hosts.follow(() => {
      this.#changes += 1;
      this.#owed = Array.from(this.#commits.values(), ({ login }) => login);
    });
  }

  /** Incremented whenever another host comes into use. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether the host in use may lack logins. */
  get isOwed(): boolean {
    return this.#owed.length > 0;
  }

  /**
   * Notes a committed batch.
   *
   * @param before {@link changes} when the batch was begun: if another host came into use
   *   meanwhile, the batch may be on the old one only
   */
  note(batch: readonly Login[], before: number): void {
    const at = this.#moment();
    for (const login of batch) {
      const key = JSON.stringify([login.address, login.user]);
      const known = this.#commits.get(key);
      this.#commits.delete(key);
      const isLast = known === undefined || login.time >= known.login.time;
      this.#commits.set(key, { login: isLast ? login : known.login, at });
    }
    if (before !== this.#changes) this.#owed.push(...batch);
    for (const [key, commit] of this.#commits) {
      if (this.#commits.size <= LIMIT && at - commit.at < KEPT_MS) break;
      this.#commits.delete(key);
    }
  }

  /**
   * Writes the owed logins with `write`, in batches, unless that is in progress. Rejects if `write`
   * does; the rest is then still owed.
   */
  pay(write: (batch: readonly Login[]) => Promise<void>): Promise<void> {
    this.#paying ??= this.#payAll(write).finally(() => (this.#paying = undefined));
    return this.#paying;
  }

  async #payAll(write: (batch: readonly Login[]) => Promise<void>): Promise<void> {
    while (this.#owed.length > 0) {
      const changes = this.#changes;
      const batch = this.#owed.slice(0, BATCH);
      await write(batch);
      // if yet another host has come into use, all of them are owed to it
      if (changes === this.#changes) this.#owed = this.#owed.slice(batch.length);
    }
  }
}
