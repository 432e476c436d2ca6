import type { Admission } from "../guards/admission.ts";
import type { Network } from "../login/address.ts";
import type { Formats } from "../mail-formats/formats.ts";

/** How important an entry of the log is, in rising order. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** The configuration file unless `--config` names another. Only this one may be missing. */
export const DEFAULT_CONFIG_PATH = "/etc/popbsmtp/popbsmtp.toml";

/** A password that does not appear when an object is printed. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return "***";
  }
  toJSON(): string {
    return "***";
  }
}

/**
 * The columns of the store's table. A column that is undefined is missing from a table that
 * `columns` maps.
 */
export interface Columns {
  readonly address: string;
  readonly lastSeen: string;
  readonly user: string | undefined;
  readonly service: string | undefined;
  readonly firstSeen: string | undefined;
  readonly logins: string | undefined;
}

interface TableConfig {
  /** The table's name; for pgsql, optionally with its schema ("mail.popbsmtp"). */
  readonly table: string;
  readonly columns: Columns;
  /**
   * Whether `columns` was given: the table is the administrator's, and popbsmtp never creates or
   * alters it.
   */
  readonly mapped: boolean;
}

/** An account of a database server. */
export interface DatabaseAccount {
  readonly user: string;
  readonly password: Secret | undefined;
}

export interface SslConfig {
  /** PEM text of the certificate authorities to trust; undefined: the system's. */
  readonly ca: string | undefined;
  /** The file that holds `ca`, for Postfix's map. */
  readonly caFile?: string | undefined;
  /** False only if the administrator asked for it: the connection can then be intercepted. */
  readonly rejectUnauthorized: boolean;
}

export interface ServerStoreConfig extends TableConfig {
  readonly driver: "pgsql" | "mysql";
  /** Host names, addresses, or a Unix socket's path (pgsql: its directory); tried in order. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly database: string;
  /** The account that writes; without `purger`, it also purges and revokes. */
  readonly writer: DatabaseAccount;
  readonly purger: DatabaseAccount | undefined;
  /** The account in the map file of `print postfix`. */
  readonly reader: DatabaseAccount;
  readonly ssl: SslConfig | undefined;
}

export interface SqliteStoreConfig extends TableConfig {
  readonly driver: "sqlite";
  /** The database file. */
  readonly path: string;
}

/** A store with a table, which SQL creates and a Postfix map can query. */
export type TableStoreConfig = ServerStoreConfig | SqliteStoreConfig;

/** A relay-ctrl directory. */
export interface RelayCtrlStoreConfig {
  readonly driver: "relay-ctrl";
  readonly path: string;
}

/** The relay-ctrl-udp of another host. */
export interface RelayCtrlRemoteStoreConfig {
  readonly driver: "relay-ctrl-udp";
  readonly host: string;
  readonly port: number;
  /** The most requests for one login. */
  readonly tries: number;
  /** How long to wait for each answer, in milliseconds. */
  readonly timeout: number;
}

/** The rpc.dracd of a host. */
export interface DracStoreConfig {
  readonly driver: "drac";
  readonly host: string;
}

/** One store. */
export type StoreConfig =
  | TableStoreConfig
  | RelayCtrlStoreConfig
  | RelayCtrlRemoteStoreConfig
  | DracStoreConfig;

export function hasTable(store: StoreConfig): store is TableStoreConfig {
  return store.driver === "pgsql" || store.driver === "mysql" || store.driver === "sqlite";
}

/** A port of this host, at one address or at all of them. */
export interface PortEndpoint {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** An address that the daemon listens on: a Unix socket's path, or a TCP port. */
export type Endpoint = { readonly path: string } | PortEndpoint;

/** An endpoint as the configuration spells it: a path, 127.0.0.1:9154, [::1]:9154. */
export function endpointName(endpoint: Endpoint): string {
  if ("path" in endpoint) return endpoint.path;
  const { host, port } = endpoint;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The section [serve]. */
export interface ServeConfig {
  /**
   * Where Dovecot's last_login plugin reports logins, unless Dovecot or systemd hands over the
   * socket.
   */
  readonly dict: Endpoint | undefined;
  /** The group whose members may report logins there; undefined: Dovecot's own, if that exists. */
  readonly dictGroup: string | undefined;
  /**
   * Where Dovecot's imap processes report logins, unless Dovecot or systemd hands over the socket.
   */
  readonly imap: Endpoint | undefined;
  readonly pop3: Endpoint | undefined;
  /** Where Postfix asks. A Unix socket and a TCP port may both be given. */
  readonly policy: readonly Endpoint[];
  readonly socketmap: readonly Endpoint[];
  /** Where Prometheus scrapes, over HTTP; undefined: nowhere. */
  readonly metrics: Endpoint | undefined;
  /** Where DRAC clients call, over UDP and TCP; undefined: nowhere. */
  readonly drac: PortEndpoint | undefined;
  /** The networks that may call; undefined: this host. */
  readonly dracAllow: readonly Network[] | undefined;
  /** Where relay-ctrl-send's datagrams arrive; undefined: nowhere. */
  readonly relayCtrlUdp: PortEndpoint | undefined;
  /** The networks that may send them, besides this host. */
  readonly relayCtrlAllow: readonly Network[];
  /**
   * How long a login waits for its commit before it goes to the spool, in milliseconds; 0: not at
   * all.
   */
  readonly deadline: number;
  /** The time from one purge of the daemon to the next, in milliseconds; 0: never. */
  readonly purgeInterval: number;
  /** The lowest level that is logged. */
  readonly logLevel: LogLevel;
}

/** The section [watch]: mail logs as sources of logins. */
export interface WatchConfig {
  readonly files: readonly string[];
  readonly formats: Formats;
  /**
   * How long a log may go without a recognised line, while lines arrive, before that is reported,
   * in milliseconds; 0: forever.
   */
  readonly quietAfter: number;
  /**
   * Whether the daemon watches the logs, which it does if the section exists. `popbsmtp watch` does
   * not need the section.
   */
  readonly inDaemon: boolean;
}

/** All settings, checked. Times are in milliseconds. */
export interface Config extends Admission {
  /** The file that was read; undefined if it does not exist and the defaults apply. */
  readonly path: string | undefined;
  readonly spool: string;
  readonly lifetime: number;
  readonly user: string;
  readonly linger: number;
  /**
   * The stores of every login. Lookups ask them in this order. A section that names several hosts
   * becomes several stores, each with an outcome of its own.
   */
  readonly stores: readonly [StoreConfig, ...StoreConfig[]];
  readonly serve: ServeConfig;
  readonly watch: WatchConfig;
}

/**
 * The location of a store, for messages. Two stores never share a location, and the location does
 * not depend on the way to reach the store.
 */
export function placeOf(store: StoreConfig): string {
  switch (store.driver) {
    case "pgsql":
    case "mysql": {
      const { driver, hosts, port, database, table } = store;
      return `${driver} ${hosts.join(",")}:${port}/${database} ${table}`;
    }
    case "sqlite":
      return `${store.driver} ${store.path} ${store.table}`;
    case "relay-ctrl":
      return `${store.driver} ${store.path}`;
    case "relay-ctrl-udp":
      return `${store.driver} ${store.host}:${store.port}`;
    case "drac":
      return `${store.driver} ${store.host}`;
  }
}
