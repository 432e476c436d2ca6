import { hasTable, type Config, type StoreConfig } from "../config/config.ts";
import { legsOf } from "./legs.ts";
import { DracStore } from "../stores/drac/drac-store.ts";
import { Leg } from "./leg.ts";
import { MysqlStore } from "../stores/mysql/mysql-store.ts";
import { PgsqlStore } from "../stores/pgsql/pgsql-store.ts";
import { RelayCtrlStore } from "../stores/relay-ctrl/relay-ctrl-store.ts";
import { RelayCtrlRemoteStore } from "../stores/relay-ctrl/relay-ctrl-udp-store.ts";
import { RevocableStore } from "../stores/revocable-store.ts";
import { SeveralStores, type SeveralOptions } from "./several.ts";
import { SqliteStore } from "../stores/sqlite/sqlite-store.ts";
import type { Store } from "../stores/store.ts";

export { postfixQuery } from "../stores/table/postfix-query.ts";
export { rolesText, schemaText, SCHEMA_VERSION } from "../stores/table/table-schema.ts";

/** How to open the configured stores. */
export type OpenStoresOptions = Omit<OpenOptions, "lifetime"> & SeveralOptions;

export interface OpenOptions {
  /** How long after the last login mail may be relayed, in milliseconds. */
  readonly lifetime: number;
  /** Which of a database server's accounts to use. Default: the writer's. */
  readonly role?: "writer" | "purger" | undefined;
}

/** The configured stores, as one. */
export function openStores(config: Config, options: OpenStoresOptions = {}): Store {
  const { role, ...several } = options;
  const [only, ...others] = config.stores;
  if (others.length > 0) {
    return new SeveralStores(
      legsOf(config).map((leg) => new Leg(openStores(leg, { role }), leg.spool)),
      several,
    );
  }
  const store = openStore(only, { lifetime: config.lifetime, role });
  return isRevocable(only) ? new RevocableStore(store, config.spool) : store;
}

/** Whether a store can be told to end an authorization, and has no room to record that. */
function isRevocable(config: StoreConfig): boolean {
  return config.driver === "relay-ctrl" || (hasTable(config) && config.mapped);
}

/**
 * A store. Nothing is connected to, and no client library loaded, before the first verb needs it.
 *
 * Everything comes from `config`: the clients' own environment variables and files have no say.
 */
export function openStore(config: StoreConfig, { lifetime, role = "writer" }: OpenOptions): Store {
  if (config.driver === "relay-ctrl") return new RelayCtrlStore(config, lifetime);
  if (config.driver === "drac") return new DracStore(config, lifetime);
  if (config.driver === "relay-ctrl-udp") return new RelayCtrlRemoteStore(config, lifetime);
  if (config.driver === "sqlite") return new SqliteStore(config, lifetime);
  const account = (role === "purger" ? config.purger : undefined) ?? config.writer;
  return config.driver === "pgsql"
    ? new PgsqlStore(config, account, lifetime)
    : new MysqlStore(config, account, lifetime);
}
