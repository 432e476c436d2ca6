/**
 * What a revocation does in a table of popbsmtp's own: it deletes the authorizations, and is
 * recorded beside them, in `<table>_revocations`. Every writer skips logins made before a recorded
 * revocation, so that none that waited in a spool, a drain, a daemon or on another host undoes it.
 */
import type { TableStoreConfig } from "../../config/config.ts";
import { UsageError } from "../../lib/errors.ts";
import { quoter } from "./table-schema.ts";
import type { Revocation } from "../store.ts";

/** What a column of the rows to delete holds. */
export interface Condition {
  /** In the driver's quotes. */
  readonly column: string;
  readonly value: string;
  /**
   * Whether to compare bytes, whatever the column's collation: so are users. Addresses are compared
   * as a lookup compares them.
   */
  readonly bytes: boolean;
}

/**
 * What the rows to delete have in common.
 *
 * @throws UsageError where a user is given and the table does not hold them
 */
export function revoked(config: TableStoreConfig, which: Revocation): readonly Condition[] {
  const quote = quoter(config);
  const { address, user } = config.columns;
  const conditions: Condition[] = [];
  if ("address" in which) {
    conditions.push({ column: quote(address), value: which.address, bytes: false });
  }
  if (which.user !== undefined) {
    if (user === undefined) {
      throw new UsageError(
        `store: the table ${config.table} holds no users (store.columns): revoke by address`,
      );
    }
    conditions.push({ column: quote(user), value: which.user, bytes: true });
  }
  return conditions;
}

/** After the table could not be used, how long to do without before trying again. Milliseconds. */
const MISSING_MS = 5_000;

/**
 * The table of revocations as writers use it. A store that was not upgraded yet, or whose writer
 * was not granted the table, goes on taking logins: then revocations cannot be recorded there
 * either, or `doctor` says what to grant.
 */
export class RevocationTable {
  readonly #isMissing: (error: unknown) => boolean;
  #missingUntil = 0;

  /** @param isMissing whether an error says that the table is not there, or may not be used */
  constructor(isMissing: (error: unknown) => boolean) {
    this.#isMissing = isMissing;
  }

  /** Does `work` with the table, or `otherwise` without. */
  async use<T>(work: () => Promise<T>, otherwise: () => Promise<T>): Promise<T> {
    if (performance.now() >= this.#missingUntil) {
      try {
        return await work();
      } catch (error) {
        if (!this.#isMissing(error)) throw error;
        this.#missingUntil = performance.now() + MISSING_MS;
      }
    }
    return otherwise();
  }
}
