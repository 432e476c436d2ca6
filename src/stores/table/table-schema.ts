import type { TableStoreConfig } from "../../config/config.ts";
import { StoreAwayError } from "../../lib/errors.ts";
import type { Caveat } from "../store.ts";
import { SCHEMA_SQL } from "./schema-sql.ts";

/** The newest schema version that this program knows; sql/ has a file for each. */
export const SCHEMA_VERSION = SCHEMA_SQL.pgsql.versions.length;

/**
 * What `popbsmtp schema print` prints: the files of sql/ for this driver, in order, with the
 * configured table's name; psql, mariadb or sqlite3 take it as it is. For a mapped table, a comment
 * that there is nothing to install.
 */
export function schemaText(config: TableStoreConfig): string {
  if (config.mapped) {
    return `-- The table ${config.table} is your own (store.columns): there is nothing to install.\n`;
  }
  return SCHEMA_SQL[config.driver].versions.map((sql) => renamed(sql, config)).join("\n");
}

/**
 * The SQL that creates the writer's, the purger's and the reader's accounts and says what each may
 * do, with the configured table's name. For SQLite, a comment on file modes.
 */
export function rolesText(config: TableStoreConfig): string {
  return renamed(SCHEMA_SQL[config.driver].roles, config);
}

/** The SQL of each version above `installed`, with its number, oldest first. */
export function upgrades(
  config: TableStoreConfig,
  installed: number,
): readonly { readonly version: number; readonly sql: string }[] {
  return SCHEMA_SQL[config.driver].versions
    .map((sql, index) => ({ version: index + 1, sql: renamed(sql, config) }))
    .filter(({ version }) => version > installed);
}

/**
 * The version to upgrade from: the installed one, or the one before its table of revocations where
 * that has been lost.
 */
export function repairFrom(installed: number, hasRevocations: boolean): number {
  return hasRevocations || installed > SCHEMA_VERSION ? installed : Math.min(installed, 2);
}

/** Throws where a newer program has been here: writing to its tables could damage them. */
export function refuseNewer(name: string, installed: number): void {
  if (installed <= SCHEMA_VERSION) return;
  throw new StoreAwayError(
    `store: ${name}: its schema is version ${String(installed)}, and this popbsmtp knows ` +
      `${String(SCHEMA_VERSION)}: upgrade popbsmtp on this host`,
  );
}

/**
 * The configured table's name, or that of a thing that belongs to it ("popbsmtp_schema"), as the
 * driver's SQL spells it.
 */
export function identifier(config: TableStoreConfig, suffix = ""): string {
  const quote = quoter(config);
  // only PostgreSQL's has a schema in front
  return `${config.table}${suffix}`.split(".").map(quote).join(".");
}

/** How the driver's SQL quotes a name: `user` is a reserved word in some. */
export function quoter(config: TableStoreConfig): (name: string) => string {
  const mark = config.driver === "mysql" ? "`" : '"';
  return (name) => mark + name.replaceAll(mark, mark + mark) + mark;
}

/** The column's collation takes some users for the same one. */
export function looseUsers(config: TableStoreConfig, user: string, remedy: string): Caveat {
  return {
    text:
      `${config.table}.${user} does not tell all users apart (by case, accents or trailing spaces, say): ` +
      "those share a row, which names whichever of them logged in last",
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

/** In sql/ the table's name, and the names made from it, are the ones in quotes. */
function renamed(sql: string, config: TableStoreConfig): string {
  const quote = quoter(config);
  const bare = config.table.slice(config.table.lastIndexOf(".") + 1);
  return (
    sql
      // an index has its table's schema, and may not be given one
      .replaceAll(/(INDEX IF NOT EXISTS) "popbsmtp(_\w+)"/g, (_, words: string, suffix: string) =>
        [words, quote(bare + suffix)].join(" "),
      )
      .replaceAll(/(["`])popbsmtp(_\w+)?\1/g, (_, _mark, suffix?: string) =>
        identifier(config, suffix),
      )
      // MySQL's information_schema wants it as a string
      .replaceAll("table_name = 'popbsmtp'", `table_name = '${bare.replaceAll("'", "''")}'`)
  );
}
