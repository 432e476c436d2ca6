import type { TableStoreConfig } from "../config/config.ts";
import { UsageError } from "../errors.ts";
import { quoter } from "./schema.ts";
import type { Revocation } from "./store.ts";

/** What a column of the rows to delete holds. */
export interface Condition {
  /** In the driver's quotes. */
  readonly column: string;
  readonly value: string;
  /** Whether to compare bytes, whatever the column's collation: so are users. Addresses are compared as a lookup compares them. */
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
