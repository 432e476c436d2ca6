import type { DatabaseSync } from "node:sqlite";
import type { SqliteStoreConfig } from "../../config/config.ts";
import type { Caveat } from "../store.ts";
import { looseUsers } from "../table/table-caveats.ts";
import {
  identifier,
  quoter,
  refuseNewer,
  repairFrom,
  SCHEMA_VERSION,
  upgrades,
} from "../table/table-schema.ts";
import type { SqliteFile } from "./sqlite-driver.ts";
import type { Installed } from "../store.ts";

/** Creates or upgrades the tables, in one transaction, which nobody else can be in. */
export function installSqlite(
  file: SqliteFile,
  config: SqliteStoreConfig,
  name: string,
): Installed {
  const { writer } = file;
  return file.transaction(() => {
    const version = sqliteVersion(writer, config);
    if (version === undefined) return { from: undefined, to: undefined };
    const hasRevocations = columnsOf(writer, `${config.table}_revocations`).length > 0;
    const from = repairFrom(version, hasRevocations);
    refuseNewer(name, from);
    if (from === 0 && isWikiTable(writer, config)) {
      convertWikiTable(writer, config);
    }
    for (const { sql } of upgrades(config, from)) writer.exec(sql);
    return { from, to: SCHEMA_VERSION };
  });
}

/** The installed version, 0 where a table is missing; undefined for a mapped table, which has to exist. */
export function sqliteVersion(writer: DatabaseSync, config: SqliteStoreConfig): number | undefined {
  if (config.mapped) {
    const columns = Object.values(config.columns).filter((column) => column !== undefined);
    const names = columns.map(quoter(config)).join(", ");
    writer.prepare(`SELECT ${names} FROM ${identifier(config)} LIMIT 0`).all();
    return undefined;
  }
  for (const table of [`${config.table}_schema`, config.table]) {
    if (columnsOf(writer, table).length === 0) return 0;
  }
  const record = identifier(config, "_schema");
  const row = writer.prepare(`SELECT max(version) AS version FROM ${record}`).get();
  return Number(row?.["version"] ?? 0);
}

/** The user column's collation, where a key of an administrator's own table has one that ignores something. */
export function sqliteCaveats(writer: DatabaseSync, config: SqliteStoreConfig): readonly Caveat[] {
  const { user } = config.columns;
  if (!config.mapped || user === undefined) return [];
  const loose = writer
    .prepare(
      "SELECT 1 FROM pragma_index_list(?) AS list, pragma_index_xinfo(list.name) AS info " +
        "WHERE list.\"unique\" AND info.name = ? COLLATE NOCASE AND info.coll <> 'BINARY' LIMIT 1",
    )
    .get(config.table, user);
  if (loose === undefined) return [];
  const remedy = `-- create ${identifier(config)} anew, with ${quoter(config)(user)} text COLLATE BINARY`;
  return [looseUsers(config, user, remedy)];
}

function columnsOf(writer: DatabaseSync, table: string): readonly unknown[] {
  const rows = writer.prepare("SELECT name FROM pragma_table_info(?)").all(table);
  return rows.map((row) => row["name"]);
}

/** The Dovecot wiki's has an address and a time, and no user. */
function isWikiTable(writer: DatabaseSync, config: SqliteStoreConfig): boolean {
  const columns = columnsOf(writer, config.table);
  return columns.length > 0 && !columns.includes("user");
}

/** Copies it to version 1's table. Its times are taken for UTC, as CURRENT_TIMESTAMP is. */
function convertWikiTable(writer: DatabaseSync, config: SqliteStoreConfig): void {
  const table = identifier(config);
  const old = identifier(config, "_old");
  writer.exec(`ALTER TABLE ${table} RENAME TO ${old}`);
  for (const { sql } of upgrades(config, 0)) writer.exec(sql);
  const time = "strftime('%Y-%m-%d %H:%M:%f', max(last_seen))";
  writer.exec(
    `INSERT INTO ${table} SELECT address, '', '', ${time}, ${time}, 1 FROM ${old} ` +
      "WHERE address IS NOT NULL AND julianday(last_seen) IS NOT NULL GROUP BY address",
  );
  writer.exec(`DROP TABLE ${old}`);
}
