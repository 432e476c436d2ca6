/**
 * Opens the configured stores. Connecting and loading a client library are left to the first verb
 * that needs them.
 */
import type { Clock } from "../lib/clock.ts";
import { hasTable, type Config, type StoreConfig } from "../config/config.ts";
import { DracStore } from "../stores/drac/drac-store.ts";
import { MysqlDialect } from "../stores/mysql/mysql-dialect.ts";
import { PgsqlDialect } from "../stores/pgsql/pgsql-dialect.ts";
import { RelayCtrlStore } from "../stores/relay-ctrl/relay-ctrl-store.ts";
import { RelayCtrlRemoteStore } from "../stores/relay-ctrl/relay-ctrl-udp-store.ts";
import { RevocableStore } from "../stores/revocable-store.ts";
import { SqliteDialect } from "../stores/sqlite/sqlite-dialect.ts";
import type { OneWaySink, Store } from "../stores/store.ts";
import { FailoverStore } from "../stores/server/failover-store.ts";
import { Hosts } from "../stores/server/hosts.ts";
import { LateCommits } from "../stores/server/late-commits.ts";
import { TableStore } from "../stores/table/table-store.ts";
import { WriterGroup } from "./group.ts";
import { StoreGroup, type StoreGroupOptions } from "./store-group.ts";
import { spoolOf } from "./store-spools.ts";
import { Writer, type OnStatement } from "./writer.ts";

export { postfixQuery } from "../stores/table/postfix-query.ts";
export { rolesText, schemaText, SCHEMA_VERSION } from "../stores/table/table-schema.ts";

export interface OpenStoreOptions {
  /** How long after a login its address may relay, in milliseconds. */
  readonly lifetime: number;
  /** The account of the database server to use. Default: the writer's. */
  readonly role?: "writer" | "purger" | undefined;
}

/** How to open the configured stores. */
export type OpenStoresOptions = Omit<OpenStoreOptions, "lifetime"> & StoreGroupOptions;

/** Opens the configured stores for queries and administration. */
export function openStores(config: Config, options: OpenStoresOptions = {}): StoreGroup {
  const { role, ...group } = options;
  return new StoreGroup(
    config.stores.map((store) => openOne(config, store, role)),
    group,
  );
}

export interface OpenWritersOptions {
  readonly now: Clock;
  /** Whether clients wait for the writes, so that a slow store counts as away. Default true. */
  readonly isAwaited?: boolean;
  /**
   * Takes a line about a login that one store could not take but another could. Default: discarded.
   */
  readonly report?: (line: string) => void;
  /** Called after each statement. */
  readonly onStatement?: OnStatement;
  /**
   * Called when a store stops taking logins, with the reason, and when it takes them again, with
   * undefined.
   */
  readonly onHealth?: (store: StoreConfig, why: string | undefined) => void;
}

/**
 * Opens the configured stores for logins.
 *
 * @param configured returns the current configuration, with which a store is reopened after an
 *   outage
 */
export function openWriters(
  config: Config,
  { now, isAwaited = true, report = () => undefined, onStatement, onHealth }: OpenWritersOptions,
  configured: () => Promise<Config> = () => Promise.resolve(config),
): WriterGroup {
  const writer = (store: StoreConfig): Writer => {
    const spool = spoolOf(config, store);
    return new Writer({
      open: () => openOne(config, store, "writer"),
      reopen: async () => {
        const current = await configured();
        const same = current.stores.find((each) => spoolOf(current, each) === spool);
        return () => openOne(current, same ?? store, "writer");
      },
      spool,
      now,
      ...(onStatement && { onStatement }),
      ...(onHealth && { onHealth: (why) => onHealth(store, why) }),
    });
  };
  const [first, ...others] = config.stores;
  return new WriterGroup([writer(first), ...others.map(writer)], { isAwaited, report });
}

/** Opens one of the configured stores. */
export function openOne(
  config: Config,
  store: StoreConfig,
  role: OpenStoreOptions["role"],
): Store | OneWaySink {
  const options = { lifetime: config.lifetime, role };
  if (!isQueryable(store)) return openSink(store, options);
  const opened = openStore(store, options);
  const revocable = isRevocable(store)
    ? new RevocableStore(opened, spoolOf(config, store))
    : opened;
  // outermost, so that logins revoked meanwhile are not written again
  return "hosts" in store && store.hosts.length > 1
    ? new FailoverStore(revocable, LateCommits.of(Hosts.of(store)))
    : revocable;
}

/** Whether a store can delete authorizations but has no room to record revocations. */
function isRevocable(config: StoreConfig): boolean {
  return config.driver === "relay-ctrl" || (hasTable(config) && config.mapped);
}

type OneWayConfig = Extract<StoreConfig, { driver: "drac" | "relay-ctrl-udp" }>;
type QueryableConfig = Exclude<StoreConfig, OneWayConfig>;

function isQueryable(config: StoreConfig): config is QueryableConfig {
  return config.driver !== "drac" && config.driver !== "relay-ctrl-udp";
}

/** Opens a daemon on another host that takes logins and cannot be queried. */
export function openSink(config: OneWayConfig, { lifetime }: OpenStoreOptions): OneWaySink {
  return config.driver === "drac"
    ? new DracStore(config, lifetime)
    : new RelayCtrlRemoteStore(config, lifetime);
}

/**
 * Opens a store. All settings come from `config`: the client libraries' environment variables and
 * files are ignored.
 */
export function openStore(
  config: QueryableConfig,
  { lifetime, role = "writer" }: OpenStoreOptions,
): Store {
  if (config.driver === "relay-ctrl") return new RelayCtrlStore(config, lifetime);
  if (config.driver === "sqlite") {
    return new TableStore(config, lifetime, new SqliteDialect(config));
  }
  const account = (role === "purger" ? config.purger : undefined) ?? config.writer;
  return config.driver === "pgsql"
    ? new TableStore(config, lifetime, new PgsqlDialect(config, account))
    : new TableStore(config, lifetime, new MysqlDialect(config, account));
}
