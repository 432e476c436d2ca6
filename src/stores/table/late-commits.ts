import type { Login } from "../../login/login.ts";
import { Hosts } from "./hosts.ts";

/** No replication that is at work is further behind than this. Milliseconds. */
const KEPT_MS = 60_000;

/** So many logins are kept at most, the last of each address and user. */
const LIMIT = 10_000;

/** Logins a statement, when they are written again. */
const BATCH = 500;

interface Commit {
  readonly login: Login;
  readonly at: number;
}

/**
 * What this process has lately committed to the host in use: the next host may never have received it. Where that one comes into
 * use, these logins are owed to it.
 *
 * They are kept for as long as the host is silent, since nobody knows when it has gone.
 */
export class LateCommits {
  static readonly #known = new WeakMap<Hosts, LateCommits>();

  /** The same ones for every handle that this process has on a store. */
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

  /** @param moment a clock that nobody sets, in milliseconds. Default: performance.now */
  constructor(hosts: Hosts, moment = () => performance.now()) {
    this.#moment = moment;
    hosts.follow(() => {
      this.#changes += 1;
      this.#owed = Array.from(this.#commits.values(), ({ login }) => login);
    });
  }

  /** Grows whenever another host comes into use. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether the host in use may lack some. */
  get isOwed(): boolean {
    return this.#owed.length > 0;
  }

  /**
   * Takes over a batch that was committed.
   *
   * @param before {@link changes} when it was begun: where another host came into use meanwhile, it may be in the old one only
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
   * Writes what is owed with `write`, in batches, unless that is being done already. Rejects where `write` does; the rest is still
   * owed then.
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
      // yet another host is owed all of it
      if (changes === this.#changes) this.#owed = this.#owed.slice(batch.length);
    }
  }
}
