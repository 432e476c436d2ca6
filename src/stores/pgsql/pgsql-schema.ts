import type { ServerStoreConfig } from "../../config/config.ts";
import type { Caveat } from "../store.ts";
import { transaction, type Schema } from "../table/dialect.ts";
import { alterColumn, identifier, looseUsers } from "../table/table-schema.ts";
import type { PgsqlLink } from "./pgsql-driver.ts";

/** PostgreSQL's tables. */
export class PgsqlSchema implements Schema<PgsqlLink> {
  readonly #config: ServerStoreConfig;

  constructor(config: ServerStoreConfig) {
    this.#config = config;
  }

  alone<T>(link: PgsqlLink, work: () => Promise<T>): Promise<T> {
    return transaction(link, async () => {
      await link.run("SELECT pg_advisory_xact_lock(hashtext('popbsmtp schema'))");
      return work();
    });
  }

  async columns(link: PgsqlLink, suffix: string): Promise<readonly string[]> {
    const rows = await link.rows(
      "SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
      [identifier(this.#config, suffix)],
    );
    return rows.map((row) => String(row["name"]));
  }

  /** Where it is, so that it keeps its grants. A plain timestamp is in the session's zone. */
  async convert(link: PgsqlLink): Promise<void> {
    const columns = await this.columns(link, "");
    if (columns.length === 0 || columns.includes("user")) return;
    const table = identifier(this.#config);
    await link.run(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    const keys = await link.rows(
      "SELECT quote_ident(conname) AS name FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype IN ('p', 'u')",
      [table],
    );
    for (const key of keys) {
      await link.run(`ALTER TABLE ${table} DROP CONSTRAINT ${String(key["name"])}`);
    }
    // without a key an address may be there more than once
    await link.run(
      `DELETE FROM ${table} AS one USING ${table} AS other WHERE one.address = other.address ` +
        "AND (one.last_seen, one.ctid) < (other.last_seen, other.ctid)",
    );
    await link.run(`DELETE FROM ${table} WHERE address IS NULL OR last_seen IS NULL`);
    await link.run(
      `ALTER TABLE ${table} ALTER address TYPE text, ALTER last_seen TYPE timestamptz, ` +
        `ADD "user" text NOT NULL DEFAULT '', ADD service text NOT NULL DEFAULT '', ` +
        "ADD first_seen timestamptz, ADD logins bigint NOT NULL DEFAULT 1, ALTER last_seen SET NOT NULL",
    );
    await link.run(`UPDATE ${table} SET first_seen = last_seen`);
    await link.run(
      `ALTER TABLE ${table} ALTER first_seen SET NOT NULL, ADD PRIMARY KEY (address, "user")`,
    );
  }

  /** Local time in a zone that has summer time, and collations that are not deterministic. */
  async caveats(link: PgsqlLink): Promise<readonly Caveat[]> {
    const config = this.#config;
    const { lastSeen, user } = config.columns;
    const rows = await link.rows(
      "SELECT attname AS name, t.typname AS type, " +
        // pg_collation.collisdeterministic came with PostgreSQL 12
        "to_jsonb(c) @> '{\"collisdeterministic\": false}' OR t.typname IN ('citext', 'bpchar') AS loose " +
        "FROM pg_attribute JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_collation c ON c.oid = attcollation " +
        "WHERE attrelid = to_regclass($1) AND attname = ANY ($2)",
      [identifier(config), [lastSeen, user]],
    );
    const caveats: Caveat[] = [];
    for (const { name, type, loose } of rows) {
      if (name === lastSeen && type === "timestamp") {
        const zone = await summerTime(link);
        if (zone !== undefined) {
          caveats.push({
            text:
              `${config.table}.${lastSeen} holds local time (${zone}): for an hour when summer time ends, ` +
              "logins do not count in the table",
            remedy: `${alterColumn(config, "ALTER", lastSeen)} TYPE timestamptz`,
          });
        }
      }
      if (user !== undefined && name === user && loose === true) {
        const remedy = `${alterColumn(config, "ALTER", user)} TYPE text COLLATE "C"`;
        caveats.push(looseUsers(config, user, remedy));
      }
    }
    return caveats;
  }
}

/** The session's time zone, where its offset changes within a year. */
async function summerTime(link: PgsqlLink): Promise<string | undefined> {
  const [row] = await link.rows(
    "SELECT current_setting('TimeZone') AS zone FROM generate_series(now(), now() + interval '1 year', '1 month') AS month " +
      "HAVING count(DISTINCT extract(timezone FROM month)) > 1",
  );
  return row && String(row["zone"]);
}
