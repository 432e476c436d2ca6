import type { TableStoreConfig } from "../../config/config.ts";
import { identifier, quoter } from "./table-schema.ts";

/**
 * The query for Postfix's map file (pgsql_table(5), mysql_table(5), sqlite_table(5)): the one row
 * "OK" where the address is live, by the store's clock, whether or not a purge ran.
 *
 * Postfix asks for host names too, and for parts of addresses. Compared as text they are simply not
 * there; a cast would be an error, and a 451 for everybody.
 *
 * @param lifetime in milliseconds
 */
export function postfixQuery(config: TableStoreConfig, lifetime: number): string {
  const quote = quoter(config);
  const lastSeen = quote(config.columns.lastSeen);
  const seconds = String(lifetime / 1000);
  return (
    `SELECT 'OK' FROM ${identifier(config)} WHERE ${quote(config.columns.address)} = '%s' ` +
    `AND ${live(config.driver, lastSeen, seconds)} LIMIT 1`
  );
}

function live(driver: TableStoreConfig["driver"], lastSeen: string, seconds: string): string {
  const conditions = {
    pgsql:
      `${lastSeen} > now() - interval '${seconds} seconds' ` +
      `AND ${lastSeen} <= now() + interval '1 minute'`,
    mysql:
      `${lastSeen} > UTC_TIMESTAMP(6) - INTERVAL ${seconds} SECOND ` +
      `AND ${lastSeen} <= UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE`,
    // no strftime(): Postfix takes % for its own
    sqlite:
      `julianday(${lastSeen}) > julianday('now', '-${seconds} seconds') ` +
      `AND julianday(${lastSeen}) <= julianday('now', '+1 minute')`,
  };
  return conditions[driver];
}
