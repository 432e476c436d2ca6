import type { ServerStoreConfig } from "../../config/config.ts";
import { assignments } from "../table/assignments.ts";
import type { Statement } from "../table/dialect.ts";
import type { Condition } from "../table/revocation-table.ts";
import { identifier, quoter } from "../table/table-schema.ts";

/**
 * The SQL for a table. The server's clock is now(). Times have a zone until they meet the column: a
 * mapped one of the type `timestamp` holds the session's local time, as it does for every other
 * program that uses the table (see {@link lastSeenValue}).
 */
export function statements(config: ServerStoreConfig) {
  const table = identifier(config);
  const quote = quoter(config);
  const { columns } = config;
  const lastSeen = quote(columns.lastSeen);
  const address = quote(columns.address);

  const select =
    `SELECT ${address} AS address, ${optional(columns.user)} AS "user", ${optional(columns.service)} AS service, ` +
    `${milliseconds(columns.firstSeen)} AS first_seen, ${milliseconds(columns.lastSeen)} AS last_seen, ` +
    `${optional(columns.logins)}::float8 AS logins FROM ${table}`;
  const live = (seconds: string) =>
    `${lastSeen} > now() - make_interval(secs => ${seconds}) AND ${lastSeen} <= now() + interval '1 minute'`;
  const expired = `${lastSeen} <= now() - make_interval(secs => $1)`;

  const inserted = insertion(config);
  const names = inserted.map(({ column }) => quote(column)).join(", ");
  // the arrays keep the order of the rows, in which every writer takes its locks
  const values = `SELECT ${inserted.map(({ column, value }) => `${value} AS ${quote(column)}`).join(", ")} `;
  const arrays =
    "$1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[]";
  const fields = "address, usr, service, first_seen, last_seen, logins";
  const batch = `${values}FROM unnest(${arrays}) AS login (${fields})`;
  const revocations = identifier(config, "_revocations");
  const revokedFor = (whose: string) =>
    `EXISTS (SELECT 1 FROM ${revocations} AS revoked WHERE ${whose} AND revoked_at >= login.earliest)`;
  const unrevoked =
    `${values}FROM unnest(${arrays}, $7::timestamptz[]) WITH ORDINALITY AS login (${fields}, earliest, number) ` +
    // found out once, and mostly enough
    `WHERE NOT EXISTS (SELECT 1 FROM ${revocations} WHERE revoked_at >= (SELECT min(e) FROM unnest($7::timestamptz[]) AS e)) ` +
    `OR NOT ${revokedFor('revoked.address = login.address AND (revoked."user" IS NULL OR revoked."user" = login.usr)')} ` +
    `AND NOT ${revokedFor('revoked.address IS NULL AND revoked."user" = login.usr')} ORDER BY number`;
  const key = [columns.address, columns.user].filter((column) => column !== undefined).map(quote);
  const update = (given: string) =>
    assignments(columns, {
      quote,
      old: (name) => `old.${name}`,
      given: (name) => `${given}.${name}`,
      greatest: "greatest",
      least: "least",
      inAMinute: "now() + interval '1 minute'",
      isLoose: config.mapped,
    });
  const same = (other: string) =>
    key.map((column) => `${other}.${column} = new.${column}`).join(" AND ");

  const upsert = (rows: string) =>
    `INSERT INTO ${table} AS old (${names}) ${rows} ` +
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${update("excluded")}`;

  return {
    /** $1 to $6: the rows' address, user, service, first and last time, logins. */
    upsert: upsert(batch),
    /** The same without those that were revoked. $7: their last time at the earliest. */
    upsertUnrevoked: upsert(unrevoked),
    /** The same without a key. The caller holds `lock`. */
    updateOrInsert:
      `WITH new AS (${batch}), updated AS (` +
      `UPDATE ${table} AS old SET ${update("new")} FROM new WHERE ${same("old")} ` +
      `RETURNING ${key.map((column) => `old.${column}`).join(", ")}) ` +
      `INSERT INTO ${table} (${names}) SELECT ${names} FROM new ` +
      `WHERE NOT EXISTS (SELECT 1 FROM updated WHERE ${same("updated")})`,
    lock: `SELECT pg_advisory_xact_lock(hashtext('popbsmtp'), hashtext('${table.replaceAll("'", "''")}'))`,
    lookup: `${select} WHERE ${address} = $1 AND ${live("$2")} ORDER BY ${lastSeen} DESC LIMIT 1`,
    listLive: `${select} WHERE ${live("$1")} ORDER BY ${lastSeen} DESC`,
    listAll: `${select} ORDER BY ${lastSeen} DESC`,
    count:
      `SELECT count(*) FILTER (WHERE ${live("$1")})::float8 AS live, count(*)::float8 AS "all", ` +
      `min(${milliseconds(columns.lastSeen)}) AS oldest FROM ${table}`,
    revoke: (conditions: readonly Condition[]): Statement => ({
      text: `DELETE FROM ${table} WHERE ${conditions.map(comparison).join(" AND ")}`,
      values: conditions.map(({ value }) => value),
    }),
    /** Waits for the writers at work; those that come later see what the caller commits. */
    lockOutWriters: `LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`,
    /** $1: a unique id, $2 and $3: the address and the user, NULL for any. */
    recordRevocation: `INSERT INTO ${revocations} (id, address, "user", revoked_at) VALUES ($1, $2, $3, clock_timestamp())`,
    purgeRevocations: `DELETE FROM ${revocations} WHERE revoked_at <= now() - make_interval(secs => $1)`,
    /**
     * A row that is renewed meanwhile is looked at again before it is deleted. SKIP LOCKED would
     * be shorter, but wants the right to UPDATE, with which a purger could authorize somebody.
     */
    purge: (rows: number) =>
      `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE ${expired} ` +
      `ORDER BY ${lastSeen} LIMIT ${String(Math.trunc(rows))})) AND ${expired}`,
    /**
     * A writer may hold what the purge wants while it wants what the purge holds: the purge gives
     * way.
     */
    giveWay: "SET LOCAL lock_timeout = '20ms'",
    optimize: `VACUUM ANALYZE ${table}`,
    clock: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now",
  };

  function optional(column: string | undefined): string {
    return column === undefined ? "NULL" : quote(column);
  }
  function milliseconds(column: string | undefined): string {
    if (column === undefined) return "NULL::float8";
    return `(extract(epoch FROM ${quote(column)}::timestamptz) * 1000)::float8`;
  }
}

interface Inserted {
  readonly column: string;
  readonly value: string;
}

/**
 * The column may have any type and collation: the first comparison may use an index, the second
 * compares bytes.
 */
function comparison({ column, bytes }: Condition, index: number): string {
  const value = `$${String(index + 1)}`;
  if (!bytes) return `${column} = ${value}`;
  return `${column} = ${value}::text AND ${column}::text COLLATE "C" = ${value}::text`;
}

/**
 * Where summer time ends, an hour of local time occurs twice, and a column of the type `timestamp`
 * cannot say which is meant: readers take it for the second. A login in the first is therefore
 * written an hour early. It does not count then, and none counts for an hour too long.
 */
function lastSeenValue(config: ServerStoreConfig): string {
  const time = "login.last_seen";
  if (!config.mapped) return time;
  const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const isLocal =
    "(SELECT atttypid = 'timestamp'::regtype FROM pg_attribute " +
    `WHERE attrelid = ${literal(identifier(config))}::regclass AND attname = ${literal(config.columns.lastSeen)})`;
  const readBack = `${time}::timestamp::timestamptz`;
  return (
    `CASE WHEN ${readBack} > ${time} AND ${isLocal} ` +
    `THEN ${time} - (${readBack} - ${time}) ELSE ${time} END`
  );
}

function insertion(config: ServerStoreConfig): readonly Inserted[] {
  const { columns } = config;
  return [
    { column: columns.address, value: "address" },
    { column: columns.user, value: "usr" },
    { column: columns.service, value: "service" },
    { column: columns.firstSeen, value: "login.first_seen" },
    { column: columns.lastSeen, value: lastSeenValue(config) },
    { column: columns.logins, value: "logins" },
  ].filter((each): each is Inserted => each.column !== undefined);
}
