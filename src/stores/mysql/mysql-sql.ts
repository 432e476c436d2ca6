import type { ServerStoreConfig } from "../../config/config.ts";
import { utcText, type Row, type SpelledRow } from "../table/rows.ts";
import { assignments } from "../table/assignments.ts";
import type { Statement } from "../table/dialect.ts";
import type { Condition } from "../table/revocation-table.ts";
import { identifier, quoter } from "../table/table-schema.ts";

/**
 * The server's clock, in UTC on both sides: NOW() is local time, and grants an hour extra when
 * summer time ends.
 */
const NOW = "UTC_TIMESTAMP(6)";

/** A column that is written: its name, the value's SQL and the placeholders' values for a row. */
interface Written {
  readonly column: string;
  readonly sql: string;
  readonly values: (row: Row) => readonly (string | number)[];
}

/** The SQL for a table, as both MySQL and MariaDB understand it. */
export function statements(config: ServerStoreConfig) {
  const table = identifier(config);
  const quote = quoter(config);
  const { columns } = config;
  const address = quote(columns.address);
  const lastSeen = quote(columns.lastSeen);

  const optional = (column: string | undefined) => (column === undefined ? "NULL" : quote(column));
  const select =
    `SELECT ${address} AS address, ${optional(columns.user)} AS user, ${optional(columns.service)} AS service, ` +
    `${optional(columns.firstSeen)} AS first_seen, ${lastSeen} AS last_seen, ${optional(columns.logins)} AS logins ` +
    `FROM ${table}`;
  const live = `${lastSeen} > ${NOW} - INTERVAL ? SECOND AND ${lastSeen} <= ${NOW} + INTERVAL 1 MINUTE`;

  const writes = written(config);
  const names = writes.map(({ column }) => quote(column)).join(", ");
  const tuple = `(${writes.map(({ sql }) => sql).join(", ")})`;

  const update = assignments(columns, {
    quote,
    old: (name) => name,
    // deprecated in MySQL 8, and the only way in MariaDB
    given: (name) => `VALUES(${name})`,
    greatest: "GREATEST",
    least: "LEAST",
    inAMinute: `${NOW} + INTERVAL 1 MINUTE`,
    // so are our own tables up to schema version 2
    isLoose: true,
  });

  // named otherwise than the table's columns, which the UPDATE part means
  const fields = writes.map(({ sql }, index) => `${sql} AS f${String(index)}`);
  const login = `SELECT ${fields.join(", ")}, ? AS whose_address, ? AS whose_user, CAST(? AS DATETIME(6)) AS earliest`;
  const revocations = identifier(config, "_revocations");
  const revokedFor = (whose: string) =>
    `EXISTS (SELECT 1 FROM ${revocations} AS revoked WHERE ${whose} AND revoked.revoked_at >= login.earliest)`;

  return {
    /** Takes {@link unrevokedValues}. */
    upsertUnrevoked: (rows: number) =>
      `INSERT INTO ${table} (${names}) SELECT ${writes.map((_, index) => `f${String(index)}`).join(", ")} ` +
      `FROM (${Array<string>(rows).fill(login).join(" UNION ALL ")}) AS login ` +
      `WHERE NOT ${revokedFor("revoked.address = login.whose_address AND (revoked.user IS NULL OR revoked.user = login.whose_user)")} ` +
      `AND NOT ${revokedFor("revoked.address IS NULL AND revoked.user = login.whose_user")} ` +
      `ON DUPLICATE KEY UPDATE ${update}`,
    unrevokedValues: (rows: readonly SpelledRow[]) =>
      rows.flatMap((each) => [
        ...writes.flatMap(({ values }) => values(each)),
        each.address,
        each.user,
        utcText(each.earliest),
      ]),
    /** Takes {@link upsertValues}. */
    upsert: (rows: number) =>
      `INSERT INTO ${table} (${names}) VALUES ${Array<string>(rows).fill(tuple).join(", ")} ` +
      `ON DUPLICATE KEY UPDATE ${update}`,
    upsertValues: (rows: readonly Row[]) =>
      rows.flatMap((row) => writes.flatMap(({ values }) => values(row))),
    lookup: `${select} WHERE ${address} = ? AND ${live} ORDER BY ${lastSeen} DESC LIMIT 1`,
    listLive: `${select} WHERE ${live} ORDER BY ${lastSeen} DESC`,
    listAll: `${select} ORDER BY ${lastSeen} DESC`,
    count:
      `SELECT count(CASE WHEN ${live} THEN 1 END) AS live, count(*) AS \`all\`, ` +
      `min(${lastSeen}) AS oldest FROM ${table}`,
    revoke: (conditions: readonly Condition[]): Statement => ({
      text: `DELETE FROM ${table} WHERE ${conditions.map(comparison).join(" AND ")}`,
      values: conditions.flatMap(({ value, bytes }) => (bytes ? [value, value] : [value])),
    }),
    /** Takes an id, and the address and the user, NULL for any. */
    recordRevocation: `INSERT INTO ${revocations} (id, address, user, revoked_at) VALUES (?, ?, ?, ${NOW})`,
    /** Of what `revoke` deletes, that which was last seen before the revocation of this id. */
    beforeRevocation: ({ text, values }: Statement, id: string): Statement => ({
      text: `${text} AND ${lastSeen} <= (SELECT revoked_at FROM ${revocations} WHERE id = ?)`,
      values: [...values, id],
    }),
    anyRevocation: `SELECT 1 FROM ${revocations} WHERE revoked_at >= CAST(? AS DATETIME(6)) LIMIT 1`,
    purgeRevocations: `DELETE FROM ${revocations} WHERE revoked_at <= ${NOW} - INTERVAL ? SECOND`,
    /** LIMIT takes no placeholder: mysql2 sends numbers as DOUBLE. */
    purge: (rows: number) =>
      `DELETE FROM ${table} WHERE ${lastSeen} <= ${NOW} - INTERVAL ? SECOND ` +
      `ORDER BY ${lastSeen} LIMIT ${String(Math.trunc(rows))}`,
    optimize: `OPTIMIZE TABLE ${table}`,
    clock: `SELECT ${NOW} AS now`,
  };
}

/**
 * The column may have any character set and collation: the first comparison may use an index, the
 * second compares bytes.
 */
function comparison({ column, bytes }: Condition): string {
  if (!bytes) return `${column} = ?`;
  return `${column} = ? AND CAST(CONVERT(${column} USING utf8mb4) AS BINARY) = CAST(? AS BINARY)`;
}

function written({ columns, mapped }: ServerStoreConfig): readonly Written[] {
  const { user, service, firstSeen, logins } = columns;
  const time = "CAST(? AS DATETIME(6))";
  // somebody else's column may hold whole seconds, and MySQL would round up, into the future
  const cut = (ms: number) => utcText(mapped ? Math.floor(ms / 1000) * 1000 : ms);
  const all: readonly (Omit<Written, "column"> & { readonly column: string | undefined })[] = [
    { column: columns.address, sql: "?", values: (row) => [row.address] },
    { column: user, sql: "?", values: (row) => [row.user] },
    { column: service, sql: "?", values: (row) => [row.service] },
    { column: firstSeen, sql: time, values: (row) => [cut(row.firstSeen)] },
    { column: columns.lastSeen, sql: time, values: (row) => [cut(row.lastSeen)] },
    { column: logins, sql: "?", values: (row) => [row.logins] },
  ];
  return all.filter((each): each is Written => each.column !== undefined);
}
