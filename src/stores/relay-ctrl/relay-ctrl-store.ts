import { setImmediate as turn } from "node:timers/promises";
import type { Address } from "../../login/address.ts";
import type { RelayCtrlStoreConfig } from "../../config/config.ts";
import { hasCode, RowRefusedError, StoreAwayError, reasonOf } from "../../lib/errors.ts";
import type { Login } from "../../login/login.ts";
import { homeOf, makeHome, type Home } from "../home.ts";
import { purgeInBatches } from "../table/purge-batches.ts";
import { RelayCtrlDirectory, type RecordedAddress } from "./relay-ctrl-directory.ts";
import { Clocks } from "../table/store-clock.ts";
import {
  INSTALL_HINT,
  type Authorization,
  type Count,
  type Installed,
  type PurgeOptions,
  type Revocation,
  type Store,
} from "../store.ts";

/** A time that is further ahead of the clock than this does not count. Milliseconds. */
const AHEAD_MS = 60_000;

/** After this many files the event loop gets a turn. */
const TURN = 64;

/**
 * Authorizations in relay-ctrl's directory, for an unchanged relay-ctrl-check. There is one for
 * each address, with the last user who logged in from it. The store's clock is this host's.
 *
 * A batch is not atomic: each file is written separately. A failed batch is written again, which
 * changes nothing.
 */
export class RelayCtrlStore implements Store {
  readonly name: string;
  readonly #home: Home | undefined;
  readonly #directory: RelayCtrlDirectory;
  readonly #lifetime: number;

  constructor(config: RelayCtrlStoreConfig, lifetime: number) {
    this.name = `relay-ctrl ${config.path}`;
    this.#home = homeOf(config);
    this.#directory = new RelayCtrlDirectory(config.path);
    this.#lifetime = lifetime;
  }

  authorize(batch: readonly Login[], now: number): Promise<void> {
    return this.#use(async (directory) => {
      const clocks = new Clocks(now, Date.now());
      let looked = 0;
      for (const login of latest(batch)) {
        const time = clocks.written(login.time);
        const there = directory.time(login.address);
        if (there === undefined || there < time || isAhead(there)) {
          directory.write({ address: login.address, time }, login.user);
        }
        if (++looked % TURN === 0) await turn();
      }
      if (looked > 0) await directory.sync();
    });
  }

  lookup(address: Address): Promise<Authorization | undefined> {
    return this.#use((directory) => {
      const found = directory.read(address);
      if (found !== undefined && this.#isLive(found.time)) return authorization(address, found);
      // an address without a login and a missing directory look the same here
      directory.check();
      return undefined;
    });
  }

  list({ all = false } = {}): Promise<readonly Authorization[]> {
    return this.#use(async (directory) => {
      const found: Authorization[] = [];
      for await (const { address } of this.#entries()) {
        const entry = directory.read(address);
        if (entry !== undefined && (all || this.#isLive(entry.time))) {
          found.push(authorization(address, entry));
        }
      }
      return found.toSorted((a, b) => b.lastSeen.getTime() - a.lastSeen.getTime());
    });
  }

  count(): Promise<Count> {
    return this.#use(async () => {
      let [live, all, oldest] = [0, 0, Infinity];
      for await (const { time } of this.#entries()) {
        all += 1;
        if (this.#isLive(time)) live += 1;
        oldest = Math.min(oldest, time);
      }
      return { live, all, oldest: all === 0 ? undefined : new Date(oldest) };
    });
  }

  revoke(which: Revocation): Promise<number> {
    const isMeant = ({ user }: { readonly user: string }) =>
      which.user === undefined || user === which.user;
    return this.#use(async (directory) => {
      const revokeAt = (address: Address): number => {
        const found = directory.read(address);
        return found !== undefined && isMeant(found) && directory.remove(address) ? 1 : 0;
      };
      if ("address" in which) {
        directory.check();
        return revokeAt(which.address);
      }
      let revoked = 0;
      for await (const { address } of this.#entries()) revoked += revokeAt(address);
      return revoked;
    });
  }

  /** In directory order, not by age. Also deletes unfinished temporary files. */
  purge({
    olderThan = this.#lifetime,
    batchSize = 1_000,
    onProgress,
  }: PurgeOptions = {}): Promise<number> {
    return this.#use(async (directory) => {
      await directory.removeUnfinished(Date.now());
      const limit = Date.now() - olderThan;
      // one pass over the directory, in batches
      const entries = this.#entries();
      return purgeInBatches(async () => {
        let deleted = 0;
        while (deleted < batchSize) {
          const next = await entries.next();
          if (next.done === true) break;
          const { address, time } = next.value;
          if (time < limit && directory.removeOlder(address, limit)) deleted += 1;
        }
        return deleted;
      }, onProgress);
    });
  }

  /** Makes the directory. */
  install(): Promise<Installed> {
    return this.#use(async () => {
      const made = this.#home !== undefined && makeHome(this.#home);
      await this.schemaVersion();
      return { from: made ? 0 : undefined, to: undefined };
    });
  }

  /** There are no versions: undefined if the directory exists. */
  schemaVersion(): Promise<undefined> {
    return this.#use((directory) => {
      directory.check();
      return undefined;
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async *#entries(): AsyncGenerator<RecordedAddress> {
    let looked = 0;
    for await (const entry of this.#directory.entries()) {
      yield entry;
      if (++looked % TURN === 0) await turn();
    }
  }

  #isLive(time: number): boolean {
    return Date.now() - time < this.#lifetime && !isAhead(time);
  }

  async #use<T>(work: (directory: RelayCtrlDirectory) => T | Promise<T>): Promise<T> {
    try {
      return await work(this.#directory);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof Error) || !("syscall" in error)) return error;
    const { name } = this;
    // replaces a file, not the directory
    if (hasCode(error, "EISDIR")) {
      return new RowRefusedError(`store: ${name}: ${reasonOf(error)}`, { cause: error });
    }
    const hint = hasCode(error, "ENOENT")
      ? `the directory does not exist; ${INSTALL_HINT}`
      : reasonOf(error);
    return new StoreAwayError(`store: ${name}: ${hint}`, { cause: error });
  }
}

function isAhead(time: number): boolean {
  return time > Date.now() + AHEAD_MS;
}

/** The last login from each address. */
function latest(batch: readonly Login[]): Iterable<Login> {
  const logins = new Map<Address, Login>();
  for (const login of batch) {
    const other = logins.get(login.address);
    if (other === undefined || other.time <= login.time) logins.set(login.address, login);
  }
  return logins.values();
}

function authorization(
  address: Address,
  { time, user }: { readonly time: number; readonly user: string },
): Authorization {
  return {
    address,
    user,
    service: undefined,
    firstSeen: undefined,
    lastSeen: new Date(time),
    logins: undefined,
  };
}
