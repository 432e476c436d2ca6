import { Formats } from "../../../../src/mail-formats/formats.ts";
import type {
  Config,
  ServerStoreConfig,
  SqliteStoreConfig,
} from "../../../../src/config/config.ts";
import type { Subject } from "../../../../src/doctor/findings/subject.ts";

const table = {
  table: "popbsmtp",
  mapped: false,
  columns: {
    address: "address",
    lastSeen: "last_seen",
    user: "user",
    service: "service",
    firstSeen: "first_seen",
    logins: "logins",
  },
};

export const sqlite: SqliteStoreConfig = {
  ...table,
  driver: "sqlite",
  path: "/var/lib/popbsmtp/popbsmtp.db",
};

export const pgsql: ServerStoreConfig = {
  ...table,
  driver: "pgsql",
  hosts: ["db.example.org", "2001:db8::1", "/run/postgresql"],
  port: 5432,
  database: "mail",
  writer: { user: "popbsmtp", password: undefined },
  purger: undefined,
  reader: { user: "popbsmtp_reader", password: undefined },
  ssl: undefined,
};

/** Everything as by default. */
export const config: Config = {
  path: undefined,
  spool: "/var/spool/popbsmtp",
  lifetime: 1_800_000,
  user: "popbsmtp",
  linger: 60_000,
  exclude: [],
  stores: [sqlite],
  watch: { files: [], formats: Formats.named("auto"), quietAfter: 0, inDaemon: false },
  serve: {
    dict: undefined,
    dictGroup: undefined,
    imap: { path: "/run/popbsmtp/imap" },
    pop3: { path: "/run/popbsmtp/pop3" },
    policy: [],
    socketmap: [],
    metrics: undefined,
    drac: undefined,
    dracAllow: undefined,
    relayCtrlUdp: undefined,
    relayCtrlAllow: [],
    deadline: 200,
    purgeInterval: 3_600_000,
    logLevel: "info",
  },
};

export const subject: Subject = {
  config,
  program: "/bin/true",
  passwordFiles: [],
  account: undefined,
  daemon: undefined,
  now: 0,
  dovecotConfig: undefined,
  postfixConfig: undefined,
};
