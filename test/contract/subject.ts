import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  Secret,
  type Columns,
  type ServerStoreConfig,
  type TableStoreConfig,
} from "../../src/config/config.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import { OWN_COLUMNS, serverWith, sqliteWith } from "../support/config.ts";
import type { DatabaseServer } from "../support/database-server.ts";

export const LIFETIME = 1_800_000;

/** A two-column table of the administrator's own. */
export function twoColumns(address: string, lastSeen: string): Columns {
  return {
    address,
    lastSeen,
    user: undefined,
    service: undefined,
    firstSeen: undefined,
    logins: undefined,
  };
}

/** A store that is nobody else's, and what the contract needs besides its verbs. */
export interface ContractSubject {
  /** A handle of its own, not yet connected. */
  readonly open: () => Store;
  /** Sets an address's last_seen to so many seconds from now, past the store. */
  readonly shift: (address: string, seconds: number) => Promise<void>;
}

/** The same where the store is a table. */
export interface Subject extends ContractSubject {
  readonly config: TableStoreConfig;
  /** Runs SQL past the store; returns a single statement's rows. */
  readonly sql: (text: string) => Promise<readonly Record<string, unknown>[]>;
}

export interface Mapped {
  readonly columns: Columns;
  /** CREATE TABLE for a table of this name, in quotes. */
  readonly create: (table: string) => string;
}

/** A fresh table on a server, not created yet unless it is `mapped`. */
export async function serverSubject(
  driver: "pgsql" | "mysql",
  server: DatabaseServer,
  mapped?: Mapped,
): Promise<Subject> {
  const config: ServerStoreConfig = {
    ...serverConfig(driver, server),
    table: `t${randomUUID().replaceAll("-", "")}`,
    columns: mapped?.columns ?? OWN_COLUMNS,
    mapped: mapped !== undefined,
  };
  const { address, lastSeen } = config.columns;
  if (mapped !== undefined) {
    await server.query(mapped.create(config.table));
    if (driver === "pgsql") await server.query(`GRANT ALL ON ${config.table} TO ${server.user}`);
  }
  const from = {
    pgsql: (seconds: number) => `now() + interval '${String(seconds)} seconds'`,
    mysql: (seconds: number) => `UTC_TIMESTAMP(6) + INTERVAL ${String(seconds)} SECOND`,
  };
  return {
    config,
    open: () => openStore(config, { lifetime: LIFETIME }),
    sql: (text) => server.query(text),
    shift: async (which, seconds) => {
      const time = from[driver](seconds);
      await server.query(
        `UPDATE ${config.table} SET ${lastSeen} = ${time} WHERE ${address} = '${which}'`,
      );
    },
  };
}

/** How to reach a server's table `popbsmtp`. */
export function serverConfig(driver: "pgsql" | "mysql", server: DatabaseServer): ServerStoreConfig {
  const account = { user: server.user, password: new Secret(server.password) };
  return serverWith({
    driver,
    hosts: [server.host],
    port: server.port,
    database: server.database,
    writer: account,
    reader: account,
  });
}

/** A fresh file in a directory. */
export function sqliteSubject(directory: string, mapped?: Mapped): Subject {
  const config = sqliteWith({
    path: join(directory, `${randomUUID()}.db`),
    columns: mapped?.columns ?? OWN_COLUMNS,
    mapped: mapped !== undefined,
  });
  const sql = (text: string) => {
    const database = new DatabaseSync(config.path);
    try {
      return database.prepare(text).all();
    } finally {
      database.close();
    }
  };
  if (mapped !== undefined) sql(mapped.create(config.table));
  const { address, lastSeen } = config.columns;
  return {
    config,
    open: () => openStore(config, { lifetime: LIFETIME }),
    sql: (text) => Promise.resolve(sql(text)),
    shift: async (which, seconds) => {
      const time = `datetime('now', '${String(seconds)} seconds')`;
      sql(`UPDATE ${config.table} SET ${lastSeen} = ${time} WHERE ${address} = '${which}'`);
      await Promise.resolve();
    },
  };
}
