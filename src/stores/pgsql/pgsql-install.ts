import type { Client } from "pg";
import type { ServerStoreConfig } from "../../config/config.ts";
import {
  identifier,
  quoter,
  refuseNewer,
  repairFrom,
  SCHEMA_VERSION,
  upgrades,
} from "../table/table-schema.ts";
import type { Installed } from "../store.ts";

/** Creates or upgrades the tables. Inside a transaction, and alone: the lock is held until its end. */
export async function installPgsql(
  client: Client,
  config: ServerStoreConfig,
  name: string,
): Promise<Installed> {
  await client.query("SELECT pg_advisory_xact_lock(hashtext('popbsmtp schema'))");
  const version = await pgsqlVersion(client, config);
  if (version === undefined) return { from: undefined, to: undefined };
  const from = repairFrom(version, await exists(client, identifier(config, "_revocations")));
  refuseNewer(name, from);
  if (from === 0 && (await isWikiTable(client, config))) await convertWikiTable(client, config);
  for (const { sql } of upgrades(config, from)) await client.query(sql);
  return { from, to: SCHEMA_VERSION };
}

/** The installed version, 0 where a table is missing; undefined for a mapped table, which has to exist. */
export async function pgsqlVersion(
  client: Client,
  config: ServerStoreConfig,
): Promise<number | undefined> {
  if (config.mapped) {
    const quote = quoter(config);
    const columns = Object.values(config.columns).filter((column) => column !== undefined);
    await client.query(
      `SELECT ${columns.map(quote).join(", ")} FROM ${identifier(config)} LIMIT 0`,
    );
    return undefined;
  }
  const record = identifier(config, "_schema");
  for (const table of [record, identifier(config)]) {
    if (!(await exists(client, table))) return 0;
  }
  const { rows } = await client.query<{ version: number | null }>(
    `SELECT max(version) AS version FROM ${record}`,
  );
  return rows[0]?.version ?? 0;
}

async function exists(client: Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    "SELECT to_regclass($1) IS NOT NULL AS found",
    [table],
  );
  return rows[0]?.found ?? false;
}

/** The Dovecot wiki's has an address and a time, and no user. */
async function isWikiTable(client: Client, config: ServerStoreConfig): Promise<boolean> {
  const { rows } = await client.query<{ attname: string }>(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
    [identifier(config)],
  );
  const names = rows.map((row) => row.attname);
  return names.length > 0 && !names.includes("user");
}

/** Makes it version 1's table where it is, so that it keeps its rows and its grants. A plain timestamp is in the session's zone. */
async function convertWikiTable(client: Client, config: ServerStoreConfig): Promise<void> {
  const table = identifier(config);
  await client.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  const { rows: keys } = await client.query<{ name: string }>(
    "SELECT quote_ident(conname) AS name FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype IN ('p', 'u')",
    [table],
  );
  for (const { name } of keys) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`);
  // without a key an address may be there more than once
  await client.query(
    `DELETE FROM ${table} AS one USING ${table} AS other WHERE one.address = other.address ` +
      "AND (one.last_seen, one.ctid) < (other.last_seen, other.ctid)",
  );
  await client.query(`DELETE FROM ${table} WHERE address IS NULL OR last_seen IS NULL`);
  await client.query(
    `ALTER TABLE ${table} ALTER address TYPE text, ALTER last_seen TYPE timestamptz, ` +
      `ADD "user" text NOT NULL DEFAULT '', ADD service text NOT NULL DEFAULT '', ` +
      "ADD first_seen timestamptz, ADD logins bigint NOT NULL DEFAULT 1, ALTER last_seen SET NOT NULL",
  );
  await client.query(`UPDATE ${table} SET first_seen = last_seen`);
  await client.query(
    `ALTER TABLE ${table} ALTER first_seen SET NOT NULL, ADD PRIMARY KEY (address, "user")`,
  );
}
