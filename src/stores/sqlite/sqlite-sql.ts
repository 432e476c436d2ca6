import type { SqliteStoreConfig } from "../../config/config.ts";
import type { Time } from "../../lib/clock.ts";
import { utcText, type Row, type SpelledRow } from "../table/rows.ts";
import { assignments } from "../table/assignments.ts";
import type { RevocationValues, Statement } from "../table/dialect.ts";
import type { Condition } from "../table/revocation-table.ts";
import { identifier, quoter } from "../table/table-schema.ts";

/** A modifier: so many seconds ago. */
const AGO = "'-' || ? || ' seconds'";

/**
 * The SQL for a table, and what goes into it. Times are text in UTC, so they compare as they sort.
 */
export function statements(config: SqliteStoreConfig) {
  const table = identifier(config);
  const quote = quoter(config);
  const { columns } = config;
  const address = quote(columns.address);
  const lastSeen = quote(columns.lastSeen);

  const optional = (column: string | undefined) => (column === undefined ? "NULL" : quote(column));
  const select =
    `SELECT ${address} AS address, ${optional(columns.user)} AS "user", ${optional(columns.service)} AS service, ` +
    `${milliseconds(columns.firstSeen)} AS first_seen, ${milliseconds(columns.lastSeen)} AS last_seen, ` +
    `${optional(columns.logins)} AS logins FROM ${table}`;

  const { user, service, firstSeen, logins } = columns;
  const writes = [
    { column: columns.address, value: (row: Row) => row.address },
    { column: user, value: (row: Row) => row.user },
    { column: service, value: (row: Row) => row.service },
    { column: firstSeen, value: (row: Row) => utcText(row.firstSeen) },
    { column: columns.lastSeen, value: (row: Row) => utcText(row.lastSeen) },
    { column: logins, value: (row: Row) => row.logins },
  ].flatMap(({ column, value }) => (column === undefined ? [] : [{ name: quote(column), value }]));
  const key = [columns.address, columns.user].filter((column) => column !== undefined).map(quote);
  const update = assignments(columns, {
    quote,
    old: (name) => `old.${name}`,
    given: (name) => `excluded.${name}`,
    greatest: "max",
    least: "min",
    inAMinute: time("'+1 minute'"),
    isLoose: config.mapped,
  });

  const revocations = identifier(config, "_revocations");
  const into = `INSERT INTO ${table} AS old (${writes.map(({ name }) => name).join(", ")}) `;
  const places = writes.map(() => "?").join(", ");
  const merge = `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${update}`;

  const live = `julianday(${lastSeen}) > julianday('now', ${AGO}) AND julianday(${lastSeen}) <= julianday('now', '+1 minute')`;
  const valuesOf = (row: Row) => writes.map(({ value }) => value(row));
  const upsert = `${into}VALUES (${places}) ${merge}`;
  const upsertUnrevoked =
    `${into}SELECT ${places} WHERE NOT EXISTS (SELECT 1 FROM ${revocations} AS revoked ` +
    `WHERE (revoked.address IS NULL OR revoked.address = ?) AND (revoked."user" IS NULL OR revoked."user" = ?) ` +
    `AND revoked.revoked_at >= ?) ${merge}`;
  return {
    upsertUnrevoked: (row: SpelledRow): Statement => ({
      text: upsertUnrevoked,
      values: [...valuesOf(row), row.address, row.user, utcText(row.earliest)],
    }),
    upsert: (row: Row): Statement => ({ text: upsert, values: valuesOf(row) }),
    lookup: `${select} WHERE ${address} = ? AND ${live} ORDER BY ${lastSeen} DESC LIMIT 1`,
    listLive: `${select} WHERE ${live} ORDER BY ${lastSeen} DESC`,
    listAll: `${select} ORDER BY ${lastSeen} DESC`,
    count:
      `SELECT count(*) FILTER (WHERE ${live}) AS live, count(*) AS "all", ` +
      `min(${milliseconds(columns.lastSeen)}) AS oldest FROM ${table}`,
    revoke: (conditions: readonly Condition[]): Statement => ({
      text: `DELETE FROM ${table} WHERE ${conditions.map(comparison).join(" AND ")}`,
      values: conditions.map(({ value }) => value),
    }),
    recordRevocation: (revocation: RevocationValues, now: Time): Statement => ({
      text: `INSERT INTO ${revocations} (id, address, "user", revoked_at) VALUES (?, ?, ?, ?)`,
      values: [...revocation, utcText(now)],
    }),
    purgeRevocations: `DELETE FROM ${revocations} WHERE revoked_at <= ${time(AGO)}`,
    purge: (rows: number) =>
      `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} ` +
      `WHERE ${lastSeen} <= ${time(AGO)} ORDER BY ${lastSeen} LIMIT ${String(Math.trunc(rows))})`,
    optimize: "VACUUM",
    /** What readers have finished with need not stay in the file -wal. */
    checkpoint: "PRAGMA wal_checkpoint(TRUNCATE)",
  };

  function milliseconds(column: string | undefined): string {
    return column === undefined
      ? "NULL"
      : `round((julianday(${quote(column)}) - 2440587.5) * 86400000)`;
  }
}

/**
 * The column may have any collation: the first comparison may use an index, the second compares
 * bytes.
 */
function comparison({ column, bytes }: Condition, index: number): string {
  const value = `?${String(index + 1)}`;
  return bytes
    ? `${column} = ${value} AND CAST(${column} AS TEXT) = ${value} COLLATE BINARY`
    : `${column} = ${value}`;
}

/** A time, some modifier away from now, as the columns have it. */
function time(modifier: string): string {
  return `strftime('%Y-%m-%d %H:%M:%f', 'now', ${modifier})`;
}
