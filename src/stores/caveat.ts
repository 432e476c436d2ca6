import type { TableStoreConfig } from "../config/config.ts";
import { identifier, quoter } from "./schema.ts";

/** A property of an administrator's own table (`columns`) that popbsmtp copes with, at a price. */
export interface Caveat {
  /** What it costs. */
  readonly text: string;
  /** SQL that changes it. */
  readonly remedy: string;
}

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
