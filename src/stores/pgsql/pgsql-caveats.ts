import type { Client } from "pg";
import type { ServerStoreConfig } from "../../config/config.ts";
import type { Caveat } from "../store.ts";
import { alterColumn, looseUsers } from "../table/table-caveats.ts";
import { identifier } from "../table/table-schema.ts";

/** Local time in a zone that has summer time, and collations that are not deterministic. */
export async function pgsqlCaveats(
  client: Client,
  config: ServerStoreConfig,
): Promise<readonly Caveat[]> {
  const { lastSeen, user } = config.columns;
  const { rows } = await client.query<{ name: string; type: string; loose: boolean }>(
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
      const zone = await summerTime(client);
      if (zone !== undefined) {
        caveats.push({
          text:
            `${config.table}.${name} holds local time (${zone}): for an hour when summer time ends, ` +
            "logins do not count in the table",
          remedy: `${alterColumn(config, "ALTER", name)} TYPE timestamptz`,
        });
      }
    }
    if (name === user && loose) {
      caveats.push(
        looseUsers(config, name, `${alterColumn(config, "ALTER", name)} TYPE text COLLATE "C"`),
      );
    }
  }
  return caveats;
}

/** The session's time zone, where its offset changes within a year. */
async function summerTime(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ zone: string }>(
    "SELECT current_setting('TimeZone') AS zone FROM generate_series(now(), now() + interval '1 year', '1 month') AS month " +
      "HAVING count(DISTINCT extract(timezone FROM month)) > 1",
  );
  return rows[0]?.zone;
}
