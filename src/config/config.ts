import type { Network } from "../login/address.ts";
import type { Level } from "../daemon/log/log.ts";
import type { Formats } from "../mail-formats/formats.ts";

/** Where the configuration is unless `--config` names another. The only file that may be missing. */
export const DEFAULT_CONFIG_PATH = "/etc/popbsmtp/popbsmtp.toml";

/** A password that does not show itself where an object is printed. */
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

/** The columns of the store's table. An undefined one is not in the table (a table of one's own, mapped by `columns`). */
export interface Columns {
  readonly address: string;
  readonly lastSeen: string;
  readonly user: string | undefined;
  readonly service: string | undefined;
  readonly firstSeen: string | undefined;
  readonly logins: string | undefined;
}

interface TableConfig {
  /** The table's name; for pgsql it may have a schema in front ("mail.popbsmtp"). */
  readonly table: string;
  readonly columns: Columns;
  /** True where `columns` was given: the table belongs to somebody else and is never created or altered. */
  readonly mapped: boolean;
}

/** An account of a database server. */
export interface Account {
  readonly user: string;
  readonly password: Secret | undefined;
}

export interface SslConfig {
  /** PEM text of the certificate authorities to trust; undefined: the system's. */
  readonly ca: string | undefined;
  /** The file it came from: Postfix's map names it. */
  readonly caFile?: string | undefined;
  /** False only where the administrator wrote so: then anybody in between may read along. */
  readonly rejectUnauthorized: boolean;
}

export interface ServerStoreConfig extends TableConfig {
  readonly driver: "pgsql" | "mysql";
  /** Host names, addresses, or a Unix socket's path (pgsql: its directory); tried in order. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly database: string;
  /** The account that writes; also purges and revokes unless `purger` is set. */
  readonly writer: Account;
  readonly purger: Account | undefined;
  /** The account that `print postfix` puts into the map file. */
  readonly reader: Account;
  readonly ssl: SslConfig | undefined;
}

export interface SqliteStoreConfig extends TableConfig {
  readonly driver: "sqlite";
  /** The database file. */
  readonly path: string;
}

/** A store that has a table: SQL makes it, and a map of Postfix's can ask it. */
export type TableStoreConfig = ServerStoreConfig | SqliteStoreConfig;

/** A directory of relay-ctrl's. */
export interface RelayCtrlStoreConfig {
  readonly driver: "relay-ctrl";
  readonly path: string;
}

/** Another host's relay-ctrl-udp. */
export interface RelayCtrlRemoteStoreConfig {
  readonly driver: "relay-ctrl-udp";
  readonly host: string;
  readonly port: number;
  /** How often it is asked at most. */
  readonly tries: number;
  /** How long each answer is waited for. Milliseconds. */
  readonly timeout: number;
}

/** A host's rpc.dracd. */
export interface DracStoreConfig {
  readonly driver: "drac";
  readonly host: string;
}

/** One place that logins are written to. */
export type StoreConfig =
  | TableStoreConfig
  | RelayCtrlStoreConfig
  | RelayCtrlRemoteStoreConfig
  | DracStoreConfig;

/** Whether a store has a table. */
export function hasTable(store: StoreConfig): store is TableStoreConfig {
  return store.driver === "pgsql" || store.driver === "mysql" || store.driver === "sqlite";
}

/** A port of this host, at one of its addresses or at all of them. */
export interface PortEndpoint {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** Where the daemon listens: a Unix socket's path, or a TCP port. */
export type Endpoint = { readonly path: string } | PortEndpoint;

/** An endpoint as the configuration spells it: a path, 127.0.0.1:9154, [::1]:9154. */
export function endpointName(endpoint: Endpoint): string {
  if ("path" in endpoint) return endpoint.path;
  const { host, port } = endpoint;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What `popbsmtp serve` does. */
export interface ServeConfig {
  /** Where Dovecot's last_login plugin tells of logins, unless Dovecot or systemd hands the socket over. */
  readonly dict: Endpoint | undefined;
  /** The group whose members may tell of logins there; undefined: Dovecot's own, if there is one. */
  readonly dictGroup: string | undefined;
  /** Where Dovecot's imap processes ask, unless Dovecot or systemd hands the socket over. */
  readonly imap: Endpoint | undefined;
  readonly pop3: Endpoint | undefined;
  /** Where Postfix asks; a Unix socket and a TCP port may both be given. */
  readonly policy: readonly Endpoint[];
  readonly socketmap: readonly Endpoint[];
  /** Where Prometheus asks, over HTTP; undefined: nowhere. */
  readonly metrics: Endpoint | undefined;
  /** Where DRAC's clients call, over UDP and TCP; undefined: nowhere. */
  readonly drac: PortEndpoint | undefined;
  /** Who may; undefined: this host. */
  readonly dracAllow: readonly Network[] | undefined;
  /** Where relay-ctrl-send's datagrams come in; undefined: nowhere. */
  readonly relayCtrlUdp: PortEndpoint | undefined;
  /** Who may send them besides this host. */
  readonly relayCtrlAllow: readonly Network[];
  /** How long a login waits for its commit before it goes to the spool; 0: not at all. Milliseconds. */
  readonly deadline: number;
  /** How long after a purge the daemon purges again; 0: never. Milliseconds. */
  readonly purgeInterval: number;
  /** The least level that is logged. */
  readonly logLevel: Level;
}

/** Which mail logs tell of logins. */
export interface WatchConfig {
  readonly files: readonly string[];
  readonly formats: Formats;
  /** How long nothing may be recognised while lines come, before that is told; 0: forever. Milliseconds. */
  readonly quietAfter: number;
  /** Whether the daemon watches them: the section is there. The command does without. */
  readonly inDaemon: boolean;
}

/** Everything an administrator can set, checked. Times are milliseconds. */
export interface Config {
  /** The file it came from; undefined where there is none and the defaults hold. */
  readonly path: string | undefined;
  readonly spool: string;
  readonly lifetime: number;
  readonly user: string;
  readonly linger: number;
  readonly exclude: readonly Network[];
  /**
   * Where every login is written to. Lookups ask in this order. A section of the file that names several hosts is
   * several of these: each has an outcome of its own.
   */
  readonly stores: readonly [StoreConfig, ...StoreConfig[]];
  readonly serve: ServeConfig;
  readonly watch: WatchConfig;
}
