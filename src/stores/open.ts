import { hasTable, type StoreConfig } from "../config/config.ts";
import { ConfigError } from "../errors.ts";
import { MysqlStore } from "./mysql.ts";
import { PgsqlStore } from "./pgsql.ts";
import { RelayCtrlStore } from "./relay-ctrl.ts";
import { SqliteStore } from "./sqlite.ts";
import type { Owner } from "./sqlite-file.ts";
import type { Store } from "./store.ts";

export { postfixQuery } from "./postfix-query.ts";
export { rolesText, schemaText, SCHEMA_VERSION } from "./schema.ts";

export interface OpenOptions {
  /** How long after the last login mail may be relayed, in milliseconds. */
  readonly lifetime: number;
  /** Which of a database server's accounts to use. Default: the writer's. */
  readonly role?: "writer" | "purger";
  /**
   * To whom `install` gives a SQLite file, or relay-ctrl's directory, when root runs it: who writes it, and the group that may
   * read it. Default: whose the directory is, or will be.
   */
  readonly owner?: Owner;
}

/**
 * The configured store. Nothing is connected to, and no client library loaded, before the first verb needs it.
 *
 * Everything comes from `config`: the clients' own environment variables and files have no say.
 */
export function openStore(
  config: StoreConfig,
  { lifetime, role = "writer", owner }: OpenOptions,
): Store {
  if (config.driver === "relay-ctrl") return new RelayCtrlStore(config, lifetime, owner);
  if (!hasTable(config)) {
    throw new ConfigError([`store.driver: "${config.driver}" is not there yet`]);
  }
  if (config.driver === "sqlite") return new SqliteStore(config, lifetime, owner);
  const account = (role === "purger" ? config.purger : undefined) ?? config.writer;
  return config.driver === "pgsql"
    ? new PgsqlStore(config, account, lifetime)
    : new MysqlStore(config, account, lifetime);
}
