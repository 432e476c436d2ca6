import type { TableStoreConfig } from "../../config/config.ts";
import type { Caveat } from "../store.ts";
import { identifier, quoter } from "./table-schema.ts";

/** The column's collation takes some users for the same one. */
export function looseUsers(config: TableStoreConfig, user: string, remedy: string): Caveat {
  return {
    text:
      `${config.table}.${user} does not tell all users apart (by case, accents or trailing spaces, say): ` +
      "those share a row, which names the one who logged in last",
    remedy,
  };
}

/** "ALTER TABLE auth", and then the column in the driver's quotes. */
export function alterColumn(
  config: TableStoreConfig,
  verb: "ALTER" | "MODIFY",
  name: string,
): string {
  return `ALTER TABLE ${identifier(config)} ${verb} ${quoter(config)(name)}`;
}
