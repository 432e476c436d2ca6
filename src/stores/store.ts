/**
 * What a store is to the rest of the program.
 *
 * Glossary
 * - login: somebody has just read mail, from an address, at a time (src/login/login.ts).
 * - relay authorization: what logins become in a store. One for each address and user, with the
 *   first and the last login seen, the last one's service, and how many there were. A mapped table
 *   (`columns`) may hold less: then absence is undefined.
 * - lifetime: how long after the last login mail may be relayed. An authorization past it is
 *   expired: it no longer counts, whether or not a purge has deleted it.
 * - purge: deleting what expired. Housekeeping only.
 * - drain: the writer that carries logins from the spool into a store (src/spool/).
 *
 * The store's clock is the one that counts: it is the only one all hosts share. The times that a
 * store is given and returns are by this host's clock all the same: no caller has to know of
 * another one. Every verb throws StoreAwayError in an outage; absence is undefined or an empty
 * list, never an exception.
 */
import type { Address } from "../login/address.ts";
import type { Login } from "../login/login.ts";

/**
 * A row, with its times by this host's clock. What the store's table has no column for is
 * undefined.
 */
export interface Authorization {
  readonly address: Address;
  readonly user: string | undefined;
  readonly service: string | undefined;
  readonly firstSeen: Date | undefined;
  readonly lastSeen: Date;
  /** Logins counted; one that arrives a second time after a crash is not counted again. */
  readonly logins: number | undefined;
}

/** Which authorizations a revocation ends. */
export type Revocation =
  | { readonly address: Address; readonly user?: string }
  | { readonly user: string };

export interface PurgeOptions {
  /**
   * Delete what was last seen longer ago than this. Milliseconds; default: the lifetime the store
   * was opened with.
   */
  readonly olderThan?: number;
  /** Rows a transaction; more would lock logins out for longer. Default 1,000. */
  readonly batchSize?: number;
  /**
   * Afterwards give the freed space back (VACUUM, OPTIMIZE TABLE). Default false: it may lock the
   * table.
   */
  readonly optimize?: boolean;
  /** Called after each batch with the rows deleted so far. */
  readonly onProgress?: (deleted: number) => void;
}

/**
 * What an installation did: the schema version found (0: nothing; undefined: a mapped table, or a
 * directory of relay-ctrl's, where there are no versions) and left.
 */
export interface Installed {
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/** A property of an administrator's own table (`columns`) that popbsmtp copes with, at a price. */
export interface Caveat {
  /** What it costs. */
  readonly text: string;
  /** SQL that changes it. */
  readonly remedy: string;
}

/** How many authorizations a store holds. */
export interface Count {
  readonly live: number;
  readonly all: number;
  /** The earliest last_seen of all, by this host's clock; undefined where there are none. */
  readonly oldest: Date | undefined;
}

/** What logins are written to: all that a queue or a drain needs of a store. */
export interface Sink {
  /** For people: "pgsql db.example.org:5432/mail", never a password. */
  readonly name: string;

  /**
   * Writes logins, all or none, and returns once they are committed. Several of one address and
   * user become one row. The row's last_seen never moves back; where this host's clock and the
   * store's disagree by more than two seconds, the store's counts (login time = store's now - age).
   * Doing it twice changes nothing. Safe from many hosts at once.
   *
   * @param now this host's clock, in milliseconds since 1970, to tell the logins' age by
   * @throws RowRefusedError where the store refuses a row for what is in it; retry in smaller
   *   batches to find which
   */
  authorize(batch: readonly Login[], now: number): Promise<void>;

  close(): Promise<void>;
}

/** A daemon on another host that takes logins and cannot be queried. */
export interface OneWaySink extends Sink {
  /**
   * Finds out, as far as that can be done without authorizing anybody, whether it is there. Throws
   * StoreAwayError.
   */
  probe(): Promise<void>;
}

/** A sink that can also be queried and administered. */
export interface Store extends Sink {
  /**
   * The live authorization of an address with the latest last_seen, or undefined: it may not relay.
   */
  lookup(address: Address): Promise<Authorization | undefined>;

  /** Live authorizations, or all of them with `all`; latest first. */
  list(options?: { readonly all?: boolean }): Promise<readonly Authorization[]>;

  /** Counts them without reading them. A mapped table's rows count whatever is in them. */
  count(): Promise<Count>;

  /** Deletes authorizations and says how many. */
  revoke(which: Revocation): Promise<number>;

  /**
   * Deletes expired authorizations in batches, oldest first, and says how many. Logins may go on
   * meanwhile.
   */
  purge(options?: PurgeOptions): Promise<number>;

  /** Creates or upgrades the tables. Idempotent; safe to run on a store in use. */
  install(): Promise<Installed>;

  /**
   * The schema version in the store: 0 without tables, undefined for a mapped table or a directory
   * that exists (throws StoreAwayError where it does not).
   */
  schemaVersion(): Promise<number | undefined>;

  /** What an administrator's own table costs, for `doctor`. Default: there is nothing to say. */
  caveats?(): Promise<readonly Caveat[]>;

  /**
   * How far the store's clock is ahead of this host's, in milliseconds, to about the round trip's
   * accuracy; for `doctor`. Default: the clock is this host's, or no times are written.
   */
  skew?(): Promise<number | undefined>;
}

/** Whether a sink can be queried. */
export function isStore(sink: Store | OneWaySink): sink is Store {
  return "lookup" in sink;
}

/** What to do about a table or column that is missing. */
export const INSTALL_HINT = "run: popbsmtp schema install";
