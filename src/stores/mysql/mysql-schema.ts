import type { ServerStoreConfig } from "../../config/config.ts";
import { StoreAwayError } from "../../lib/errors.ts";
import type { Caveat } from "../store.ts";
import type { Schema } from "../table/dialect.ts";
import { alterColumn, identifier, looseUsers } from "../table/table-schema.ts";
import type { MysqlLink } from "./mysql-driver.ts";

/** Seconds to wait for another host that is installing. */
const LOCK_SECONDS = 10;

/**
 * MySQL's tables. It commits each statement that makes or alters one; every one may be done again
 * after a crash.
 */
export class MysqlSchema implements Schema<MysqlLink> {
  readonly #config: ServerStoreConfig;
  readonly #store: string;

  /** @param store the store's name */
  constructor(config: ServerStoreConfig, store: string) {
    this.#config = config;
    this.#store = store;
  }

  async alone<T>(link: MysqlLink, work: () => Promise<T>): Promise<T> {
    // it is the whole server's, so the database's name is in it
    const lock = `popbsmtp schema ${this.#config.database}`.slice(0, 64);
    const [locked] = await link.rows("SELECT GET_LOCK(?, ?) AS got", [lock, LOCK_SECONDS]);
    if (locked?.["got"] !== 1) {
      throw new StoreAwayError(`store: ${this.#store}: another host is installing the schema`);
    }
    try {
      return await work();
    } finally {
      await link.run("DO RELEASE_LOCK(?)", [lock]);
    }
  }

  async columns(link: MysqlLink, suffix: string): Promise<readonly string[]> {
    return [...(await this.#columns(link, suffix)).keys()];
  }

  /**
   * Where it is, so that it keeps its grants. Its times are the server's local time. A first_seen
   * that may be NULL tells, after a crash, how far this came.
   */
  async convert(link: MysqlLink): Promise<void> {
    const table = identifier(this.#config);
    const columns = await this.#columns(link, "");
    if (columns.size === 0) return;
    if (!columns.has("user")) {
      const text = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
      await link.run(`DELETE FROM ${table} WHERE address IS NULL OR last_seen IS NULL`);
      await link.run(
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
    await link.run(
      `UPDATE ${table} SET first_seen = ${utc}, last_seen = ${utc} WHERE first_seen IS NULL`,
    );
    await link.run(`ALTER TABLE ${table} MODIFY first_seen datetime(6) NOT NULL`);
  }

  /** Times that each session sees in its own zone, and collations that ignore something. */
  async caveats(link: MysqlLink): Promise<readonly Caveat[]> {
    const config = this.#config;
    const { lastSeen, user } = config.columns;
    const rows = await link.rows(
      "SELECT column_name AS name, data_type AS type, collation_name AS collation " +
        "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
      [config.table],
    );
    return rows.flatMap(({ name, type, collation }) => {
      if (name === lastSeen && type === "timestamp") {
        return {
          text:
            `${config.table}.${lastSeen} is a timestamp, which every session sees in its own time zone: Postfix's query, ` +
            "which compares with UTC_TIMESTAMP(), is wrong unless the server's time zone is UTC",
          remedy: `SET time_zone = '+00:00'; ${alterColumn(config, "MODIFY", lastSeen)} datetime NOT NULL`,
        };
      }
      const isLoose = typeof collation === "string" && !/_nopad_bin$|_0900_bin$/.test(collation);
      if (user === undefined || name !== user || !isLoose) return [];
      const remedy = `${alterColumn(config, "MODIFY", user)} varbinary(255) NOT NULL`;
      return looseUsers(config, user, remedy);
    });
  }

  /** A table's columns, and whether each may be NULL; empty where there is no such table. */
  async #columns(link: MysqlLink, suffix: string): Promise<ReadonlyMap<string, boolean>> {
    const rows = await link.rows(
      "SELECT column_name AS name, is_nullable AS nullable FROM information_schema.columns " +
        "WHERE table_schema = DATABASE() AND table_name = ?",
      [this.#config.table + suffix],
    );
    return new Map(rows.map(({ name, nullable }) => [String(name), nullable === "YES"]));
  }
}
