/** Configurations for tests that do not read popbsmtp.toml: a small valid one, with changes. */
import type {
  Columns,
  Config,
  ServeConfig,
  ServerStoreConfig,
  SqliteStoreConfig,
} from "../../src/config/config.ts";
import { Formats } from "../../src/mail-formats/formats.ts";

/** popbsmtp's own columns. */
export const OWN_COLUMNS: Columns = {
  address: "address",
  lastSeen: "last_seen",
  user: "user",
  service: "service",
  firstSeen: "first_seen",
  logins: "logins",
};

/** A SQLite store. */
export function sqliteWith(changes: Partial<SqliteStoreConfig> = {}): SqliteStoreConfig {
  return {
    driver: "sqlite",
    path: "/var/lib/popbsmtp/popbsmtp.db",
    table: "popbsmtp",
    columns: OWN_COLUMNS,
    mapped: false,
    ...changes,
  };
}

/** A store on a database server. */
export function serverWith(changes: Partial<ServerStoreConfig> = {}): ServerStoreConfig {
  const account = { user: "popbsmtp", password: undefined };
  return {
    driver: "pgsql",
    hosts: ["db.example.org"],
    port: 5432,
    database: "mail",
    writer: account,
    purger: undefined,
    reader: account,
    ssl: undefined,
    table: "popbsmtp",
    columns: OWN_COLUMNS,
    mapped: false,
    ...changes,
  };
}

/** A daemon that listens nowhere. */
export function serveWith(changes: Partial<ServeConfig> = {}): ServeConfig {
  return {
    dict: undefined,
    dictGroup: undefined,
    imap: undefined,
    pop3: undefined,
    policy: [],
    socketmap: [],
    metrics: undefined,
    drac: undefined,
    dracAllow: undefined,
    relayCtrlUdp: undefined,
    relayCtrlAllow: [],
    deadline: 200,
    purgeInterval: 0,
    logLevel: "info",
    ...changes,
  };
}

/** A configuration with a SQLite store, and a daemon that listens nowhere. */
export function configWith(changes: Partial<Config> = {}): Config {
  return {
    path: undefined,
    spool: "/var/spool/popbsmtp",
    lifetime: 1_800_000,
    user: "popbsmtp",
    linger: 60_000,
    exclude: [],
    allow: { users: undefined, networks: undefined, services: undefined },
    stores: [sqliteWith()],
    watch: { files: [], formats: Formats.named("auto"), quietAfter: 0, inDaemon: false },
    serve: serveWith(),
    ...changes,
  };
}
