import type { Connection as Link, RowDataPacket } from "mysql2/promise";
import type { ServerStoreConfig } from "../../config/config.ts";
import { StoreAwayError } from "../../lib/errors.ts";
import {
  identifier,
  quoter,
  refuseNewer,
  repairFrom,
  SCHEMA_VERSION,
  upgrades,
} from "../table/table-schema.ts";
import type { Installed } from "../store.ts";

/** Seconds to wait for another host that is installing. */
const LOCK_SECONDS = 10;

/** Creates or upgrades the tables. MySQL commits each statement that does so; every one may be done again after a crash. */
export async function installMysql(
  link: Link,
  config: ServerStoreConfig,
  name: string,
): Promise<Installed> {
  if (config.mapped) return { from: await mysqlVersion(link, config), to: undefined };
  // it is the whole server's, so the database's name is in it
  const lock = `popbsmtp schema ${config.database}`.slice(0, 64);
  const [locked] = await link.execute<(RowDataPacket & { got: number })[]>(
    "SELECT GET_LOCK(?, ?) AS got",
    [lock, LOCK_SECONDS],
  );
  if (locked[0]?.got !== 1) {
    throw new StoreAwayError(`store: ${name}: another host is installing the schema`);
  }
  try {
    const from = repairFrom(
      (await mysqlVersion(link, config)) ?? 0,
      (await columnsOf(link, `${config.table}_revocations`)).size > 0,
    );
    refuseNewer(name, from);
    if (from === 0) await convertWikiTable(link, config);
    for (const { sql } of upgrades(config, from)) {
      // the connection takes one statement at a time, as it should
      for (const statement of sql.split(/;\n/).slice(0, -1)) await link.query(statement);
    }
    return { from, to: SCHEMA_VERSION };
  } finally {
    await link.execute("DO RELEASE_LOCK(?)", [lock]);
  }
}

/** The installed version, 0 where a table is missing; undefined for a mapped table, which has to exist. */
export async function mysqlVersion(
  link: Link,
  config: ServerStoreConfig,
): Promise<number | undefined> {
  if (config.mapped) {
    const columns = Object.values(config.columns).filter((column) => column !== undefined);
    const names = columns.map(quoter(config)).join(", ");
    await link.query(`SELECT ${names} FROM ${identifier(config)} LIMIT 0`);
    return undefined;
  }
  for (const table of [`${config.table}_schema`, config.table]) {
    if ((await columnsOf(link, table)).size === 0) return 0;
  }
  const [rows] = await link.query<(RowDataPacket & { version: number | null })[]>(
    `SELECT max(version) AS version FROM ${identifier(config, "_schema")}`,
  );
  return rows[0]?.version ?? 0;
}

/** A table's columns, and whether each may be NULL; empty where there is no such table. */
async function columnsOf(link: Link, table: string): Promise<ReadonlyMap<string, boolean>> {
  const [rows] = await link.execute<(RowDataPacket & { name: string; nullable: string })[]>(
    "SELECT column_name AS name, is_nullable AS nullable FROM information_schema.columns " +
      "WHERE table_schema = DATABASE() AND table_name = ?",
    [table],
  );
  return new Map(rows.map(({ name, nullable }) => [name, nullable === "YES"]));
}

/**
 * Makes the Dovecot wiki's table, an address and a time, version 1's, where it is, so that it keeps its rows. Its times are
 * the server's local time. A first_seen that may be NULL tells, after a crash, how far this came.
 */
async function convertWikiTable(link: Link, config: ServerStoreConfig): Promise<void> {
  const table = identifier(config);
  const columns = await columnsOf(link, config.table);
  if (columns.size === 0) return;
  if (!columns.has("user")) {
    const text = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
    await link.query(`DELETE FROM ${table} WHERE address IS NULL OR last_seen IS NULL`);
    await link.query(
      `ALTER TABLE ${table} DROP PRIMARY KEY, ENGINE=InnoDB, ROW_FORMAT=DYNAMIC, ` +
        `MODIFY address varchar(45) ${text}, ADD user varchar(255) ${text} DEFAULT '' AFTER address, ` +
        `ADD service varchar(255) ${text} DEFAULT '' AFTER user, ADD first_seen datetime(6) AFTER service, ` +
        "MODIFY last_seen datetime(6) NOT NULL, ADD logins bigint NOT NULL DEFAULT 1, " +
        "ADD PRIMARY KEY (address, user)",
    );
  } else if (columns.get("first_seen") !== true) {
    return;
  }
  const utc = "COALESCE(CONVERT_TZ(last_seen, @@GLOBAL.time_zone, '+00:00'), last_seen)";
  await link.query(
    `UPDATE ${table} SET first_seen = ${utc}, last_seen = ${utc} WHERE first_seen IS NULL`,
  );
  await link.query(`ALTER TABLE ${table} MODIFY first_seen datetime(6) NOT NULL`);
}
