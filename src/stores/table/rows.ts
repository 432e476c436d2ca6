import { parseAddress, type Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import type { Authorization, Count } from "../store.ts";
import type { ResultRow } from "./dialect.ts";
import type { Clocks } from "./store-clock.ts";

/**
 * What a batch says about one authorization. Times are this host's, in milliseconds since 1970 (see
 * {@link Login}).
 */
export interface Row {
  readonly address: Address;
  readonly user: string;
  readonly service: string;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly logins: number;
}

/**
 * One row for each address and user; where the table has no user column, for each address.
 *
 * They come in the same order everywhere, that of their bytes, so that writers which meet wait for
 * each other and never deadlock.
 */
export function mergeLogins(batch: readonly Login[], perUser: boolean): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const login of batch) {
    // half a surrogate pair has no UTF-8; two that differ in nothing else would be the same row in
    // one statement
    const user = perUser ? login.user.toWellFormed() : "";
    const key = `${login.address}\0${user}`;
    rows.set(key, merged(rows.get(key), { ...login, user }));
  }
  return [...rows]
    .map(([key, row]) => ({ bytes: Buffer.from(key), row }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ row }) => row);
}

/** A row with its times as the store has them. */
export interface SpelledRow extends Row {
  /** The last login at the earliest: a revocation at that time or later ends it. */
  readonly earliest: number;
}

/** The rows with their times in the store's terms. */
export function spelled(rows: readonly Row[], clocks: Clocks): readonly SpelledRow[] {
  return rows.map((row) => ({
    ...row,
    firstSeen: clocks.written(row.firstSeen),
    lastSeen: clocks.written(row.lastSeen),
    earliest: clocks.earliest(row.lastSeen),
  }));
}

function merged(row: Row | undefined, { address, user, service, time }: Login): Row {
  if (row === undefined) {
    return { address, user, service, firstSeen: time, lastSeen: time, logins: 1 };
  }
  return {
    ...row,
    service: time >= row.lastSeen ? service : row.service,
    firstSeen: Math.min(row.firstSeen, time),
    lastSeen: Math.max(row.lastSeen, time),
    logins: row.logins + 1,
  };
}

/** A time in UTC to the microsecond, "2026-03-03 10:00:01.123456", from milliseconds since 1970. */
export function utcText(time: number): string {
  const microseconds = Math.round(time * 1000);
  const date = new Date(Math.floor(microseconds / 1000));
  const rest = String(((microseconds % 1000) + 1000) % 1000).padStart(3, "0");
  return date.toISOString().replace("T", " ").replace("Z", rest);
}

/**
 * What rows say, by this host's clock. A mapped table's row that is not about an address, or has no
 * time, says nothing.
 */
export function authorizations(
  rows: readonly ResultRow[],
  clocks: Clocks,
): readonly Authorization[] {
  return rows.flatMap((row) => {
    const address = parseAddress(textOf(row["address"]) ?? "");
    const lastSeen = dateOf(row["last_seen"], clocks);
    if (address === undefined || lastSeen === undefined) return [];
    return {
      address,
      user: textOf(row["user"]),
      service: textOf(row["service"]),
      firstSeen: dateOf(row["first_seen"], clocks),
      lastSeen,
      logins: numberOf(row["logins"]),
    };
  });
}

/** What a row of numbers says. */
export function count(row: ResultRow, clocks: Clocks): Count {
  return {
    live: numberOf(row["live"]) ?? 0,
    all: numberOf(row["all"]) ?? 0,
    oldest: dateOf(row["oldest"], clocks),
  };
}

/** A time in milliseconds since 1970. */
export function timeOf(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime();
  return typeof value === "number" ? value : undefined;
}

function dateOf(value: unknown, clocks: Clocks): Date | undefined {
  const time = timeOf(value);
  return time === undefined ? undefined : new Date(clocks.read(time));
}

/** Some columns' text comes as bytes (MySQL's varbinary). */
function textOf(value: unknown): string | undefined {
  if (Buffer.isBuffer(value)) return value.toString();
  return typeof value === "string" ? value : undefined;
}

/** MySQL's decimal comes as text. */
function numberOf(value: unknown): number | undefined {
  const read = typeof value === "string" ? parseFloat(value) : value;
  return typeof read === "number" && !Number.isNaN(read) ? read : undefined;
}
