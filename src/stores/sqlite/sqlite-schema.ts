import type { SqliteStoreConfig } from "../../config/config.ts";
import { homeOf, makeHome } from "../home.ts";
import type { Caveat } from "../store.ts";
import { transaction, type Schema } from "../table/dialect.ts";
import { identifier, looseUsers, quoter, upgrades } from "../table/table-schema.ts";
import { BEGIN, createDatabaseFile, sqliteTrouble, type SqliteFile } from "./sqlite-file.ts";

/** SQLite's tables, and the file that they are in. */
export class SqliteSchema implements Schema<SqliteFile> {
  readonly #config: SqliteStoreConfig;

  constructor(config: SqliteStoreConfig) {
    this.#config = config;
  }

  /** Makes the file, and the directory that it is in, unless they are the administrator's own. */
  async create(): Promise<void> {
    if (this.#config.mapped) return;
    try {
      const home = homeOf(this.#config);
      if (home !== undefined) makeHome(home);
      createDatabaseFile(this.#config.path);
    } catch (error) {
      throw sqliteTrouble(this.#config.path, error);
    }
  }

  alone<T>(file: SqliteFile, work: () => Promise<T>): Promise<T> {
    return transaction(file, work, BEGIN);
  }

  async columns(file: SqliteFile, suffix: string): Promise<readonly string[]> {
    const table = this.#config.table + suffix;
    const rows = await file.rows("SELECT name FROM pragma_table_info(?)", [table]);
    return rows.map((row) => String(row["name"]));
  }

  /** Copies it. Its times are taken for UTC, as CURRENT_TIMESTAMP is. */
  async convert(file: SqliteFile): Promise<void> {
    const columns = await this.columns(file, "");
    if (columns.length === 0 || columns.includes("user")) return;
    const table = identifier(this.#config);
    const old = identifier(this.#config, "_old");
    await file.script(`ALTER TABLE ${table} RENAME TO ${old}`);
    for (const { sql } of upgrades(this.#config, 0)) await file.script(sql);
    const time = "strftime('%Y-%m-%d %H:%M:%f', max(last_seen))";
    await file.script(
      `INSERT INTO ${table} SELECT address, '', '', ${time}, ${time}, 1 FROM ${old} ` +
        "WHERE address IS NOT NULL AND julianday(last_seen) IS NOT NULL GROUP BY address",
    );
    await file.script(`DROP TABLE ${old}`);
  }

  /**
   * The user column's collation, where a key of an administrator's own table has one that ignores
   * something.
   */
  async caveats(file: SqliteFile): Promise<readonly Caveat[]> {
    const config = this.#config;
    const { user } = config.columns;
    if (user === undefined) return [];
    const loose = await file.rows(
      "SELECT 1 FROM pragma_index_list(?) AS list, pragma_index_xinfo(list.name) AS info " +
        "WHERE list.\"unique\" AND info.name = ? COLLATE NOCASE AND info.coll <> 'BINARY' LIMIT 1",
      [config.table, user],
    );
    if (loose.length === 0) return [];
    const remedy = `-- create ${identifier(config)} anew, with ${quoter(config)(user)} text COLLATE BINARY`;
    return [looseUsers(config, user, remedy)];
  }
}
