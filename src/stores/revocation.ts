import type { TableStoreConfig } from "../config/config.ts";
import { UsageError } from "../errors.ts";
import { quoter } from "./schema.ts";
import type { Revocation } from "./store.ts";

/**
 * The columns, in the driver's quotes, and the values that the rows to delete have in them.
 *
 * @throws UsageError where a user is given and the table does not hold them
 */
export function revoked(
  config: TableStoreConfig,
  which: Revocation,
): readonly { readonly column: string; readonly value: string }[] {
  const quote = quoter(config);
  const { address, user } = config.columns;
  const conditions = [];
  if ("address" in which) conditions.push({ column: quote(address), value: which.address });
  if (which.user !== undefined) {
    if (user === undefined) {
      throw new UsageError(
        `store: the table ${config.table} holds no users (store.columns): revoke by address`,
      );
    }
    conditions.push({ column: quote(user), value: which.user });
  }
  return conditions;
}
