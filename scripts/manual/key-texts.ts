/**
 * The meaning of each key of popbsmtp.toml. The compiler requires a text for every key in the
 * schema; TOML types, defaults and bounds come from the schema (keys.ts).
 *
 * The manual page and the example are generated from these texts, which are not part of the
 * program. A `code` is literal text of a file or a command line.
 */
import type { topEntries } from "../../src/config/reading/config-schema.ts";
import type { serveEntries } from "../../src/config/reading/serve-schema.ts";
import type {
  accountEntries,
  columnEntries,
  storeEntries,
} from "../../src/config/reading/store-entries.ts";
import { ACCOUNT_DEFAULTS, SERVER_DEFAULTS } from "../../src/config/reading/store-schema.ts";
import type { sslEntries } from "../../src/config/reading/values.ts";
import type { allowEntries } from "../../src/config/reading/allow-schema.ts";
import { DEFAULT_FORMAT, type watchEntries } from "../../src/config/reading/watch-schema.ts";
import { DOVECOT_GROUP } from "../../src/daemon/sockets/listeners.ts";

export interface KeyText {
  /** The kind of value. Bounds and choices are added. */
  readonly type: string;
  /** The purpose of the key, in a sentence. */
  readonly summary: string;
  /** Further explanations. */
  readonly details?: string;
  /** The behaviour without the key, if the schema has no default for it. */
  readonly without?: string;
  /** A value other than the default, in TOML. */
  readonly example: string;
}

/** The keys of a section. */
export type KeyTexts<Entries> = Readonly<Record<keyof Entries, KeyText>>;

const TIME = "time";
const PATH = "path";
const SOCKET = "path of a Unix socket, or `false` for none";
const MAPPED_SOCKET =
  'path of a Unix socket, an address and port on loopback such as `"127.0.0.1:1004"` or `"[::1]:1004"`, a list of these, or `false` for none';
const NETWORKS = "list of networks";
const COLUMN = "name";

/** `text` as a TOML string in a code. */
function code(text: string): string {
  return `\`"${text}"\``;
}

export const topTexts: KeyTexts<typeof topEntries> = {
  spool: {
    type: "path of a directory",
    summary: "The directory in which logins wait until they are in the store.",
    details:
      "The wrapper reads this line without a TOML parser, so it has to stand on a line of its own, above the first section, and its value has to be a plain string without escapes.",
    example: '"/srv/mail/popbsmtp"',
  },
  lifetime: {
    type: TIME,
    summary: "How long after its last login an address may relay.",
    details:
      "A Postfix map that asks the database has the lifetime in its query: after a change, print the map again with `popbsmtp print postfix map` and reload Postfix.",
    example: '"20m"',
  },
  user: {
    type: "name of a system account",
    summary:
      "The account that the daemon, a drain, and every command that works on the spool or the store become when root starts them.",
    details: "It has to be able to read this file and the password files that it names.",
    example: '"mailrelay"',
  },
  linger: {
    type: TIME,
    summary: "How long a drain that a wrapper has started stays after the last login.",
    example: '"5m"',
  },
  exclude: {
    type: 'list of networks and `"postfix"`, or `"postfix"` alone',
    summary: "Networks whose logins are not recorded, because they may relay anyway.",
    details:
      '`"postfix"` stands for the networks in the Postfix parameter `mynetworks`, as postconf(1) prints it when this file is read: after a change, reload the daemon. Files named in `mynetworks` are read; tables are rejected.',
    example: '["192.0.2.0/24", "2001:db8::/32", "postfix"]',
  },
};

const tableText: KeyText = {
  type: "name",
  summary: "The name of the table.",
  details: 'With driver pgsql it may have a schema in front, as in `"mail.popbsmtp"`.',
  example: '"relay_authorizations"',
};

const columnsText: KeyText = {
  type: "section",
  summary: "The columns of a table of your own.",
  details: "popbsmtp never creates or alters a table for which this section is given.",
  without: "the columns of popbsmtp's own table",
  example: '{ address = "host", last-seen = "accessed" }',
};

const portText = {
  type: "port number",
  summary: "The port, which is the same for all hosts.",
};

const serverTexts = {
  host: {
    type: "host or list of hosts",
    summary:
      "The host of the database server: a name, an address, or the path of a Unix socket (with driver pgsql, of its directory).",
    details:
      "A list names the hosts of one replicated database, in any order. The host in use is one that accepts writes, as with `target_session_attrs=read-write` in libpq; standbys, read-only replicas and Galera nodes that are not Primary are skipped.",
    without: `${code(SERVER_DEFAULTS.pgsql.host)} (pgsql), ${code(SERVER_DEFAULTS.mysql.host)} (mysql)`,
    example: '["db1.example.org", "db2.example.org"]',
  },
  port: {
    ...portText,
    without: `${SERVER_DEFAULTS.pgsql.port} (pgsql), ${SERVER_DEFAULTS.mysql.port} (mysql)`,
    example: "5433",
  },
  database: {
    type: "name",
    summary: "The name of the database.",
    example: '"mail"',
  },
  user: {
    type: "name of a database account",
    summary: "The account that writes logins.",
    details: "It also purges and revokes, unless `[store.purger]` names another.",
    without: code(ACCOUNT_DEFAULTS.writer),
    example: '"popbsmtp_writer"',
  },
  password: {
    type: "string",
    summary: "The password of this account.",
    details: "With a password in it, this file must be readable by root and by `user` only.",
    without: "none",
    example: '"correct horse battery staple"',
  },
  "password-file": {
    type: PATH,
    summary: "A file that contains the password on one line, instead of `password`.",
    without: "none",
    example: '"/etc/popbsmtp/popbsmtp.password"',
  },
  columns: columnsText,
  ssl: {
    type: "`true`, `false` or a section",
    summary: "Whether to connect with TLS.",
    details:
      "With `true`, the server's certificate must be issued, for the name in `host`, by an authority that the system trusts. A section `[store.ssl]` can name other authorities. TLS is not used on a Unix socket.",
    without: "`false`",
    example: "true",
  },
  purger: {
    type: "section",
    summary: "The account that purges and revokes.",
    without: "the account that writes",
    example: '{ password-file = "/etc/popbsmtp/popbsmtp_purger.password" }',
  },
  reader: {
    type: "section",
    summary: "The account that `popbsmtp print postfix map` writes into the map for Postfix.",
    without: `${code(ACCOUNT_DEFAULTS.reader)}, without a password`,
    example: '{ password-file = "/etc/popbsmtp/popbsmtp_reader.password" }',
  },
} satisfies Record<string, KeyText>;

const driverText: KeyText = {
  type: "string",
  summary: "The kind of store.",
  details:
    "`pgsql` is PostgreSQL, `mysql` is MySQL or MariaDB, `sqlite` is a SQLite file, `relay-ctrl` is the directory of relay-ctrl and the hosts that run its relay-ctrl-udp, `drac` is hosts that run rpc.dracd. Without a section `[store]`, the store is SQLite.",
  example: '"pgsql"',
};

const remotesText: KeyText = {
  type: "list of hosts",
  summary: "The hosts whose relay-ctrl-udp is told of each login, besides the directory.",
  details: "Each is a name or an address. IPv6 logins are not sent, since relay-ctrl has none.",
  without: "none",
  example: '["mx2.example.org"]',
};

/** The keys of [store], by driver. */
export const storeTexts: {
  readonly [Driver in keyof typeof storeEntries]: KeyTexts<(typeof storeEntries)[Driver]>;
} = {
  pgsql: { driver: driverText, table: tableText, ...serverTexts },
  mysql: { driver: driverText, table: tableText, ...serverTexts },
  sqlite: {
    driver: driverText,
    path: { type: PATH, summary: "The database file.", example: '"/srv/mail/popbsmtp.db"' },
    table: tableText,
    columns: columnsText,
  },
  "relay-ctrl": {
    driver: driverText,
    path: {
      type: "path of a directory, or `false` for remotes only",
      summary: "The directory of relay-ctrl.",
      example: '"/srv/relay-ctrl/allow"',
    },
    remotes: remotesText,
    port: { ...portText, example: "8110" },
    tries: {
      type: "number of attempts",
      summary: "How many times a login is sent to a remote that does not answer.",
      example: "3",
    },
    timeout: {
      type: TIME,
      summary: "How long to wait for each answer of a remote.",
      example: '"500ms"',
    },
  },
  drac: {
    driver: driverText,
    hosts: {
      type: "list of hosts",
      summary: "The hosts whose rpc.dracd is told of each login.",
      details: "Each is a name or an address. It must list this host in its dracd.allow.",
      example: '["mail.example.org", "mx2.example.org"]',
    },
  },
};

function accountTexts(name: string): KeyTexts<typeof accountEntries> {
  const { password, "password-file": file } = serverTexts;
  return {
    user: {
      type: "name of a database account",
      summary: "The account.",
      without: code(name),
      example: '"mailadmin"',
    },
    password,
    "password-file": { ...file, example: `"/etc/popbsmtp/${name}.password"` },
  };
}

export const purgerTexts = accountTexts(ACCOUNT_DEFAULTS.purger);
export const readerTexts = accountTexts(ACCOUNT_DEFAULTS.reader);

export const sslTexts: KeyTexts<typeof sslEntries> = {
  ca: {
    type: PATH,
    summary: "A PEM file with the certificates of the authorities to trust.",
    without: "the authorities that the system trusts",
    example: '"/etc/popbsmtp/ca.pem"',
  },
  "reject-unauthorized": {
    type: "`true` or `false`",
    summary: "Whether to reject a server whose certificate cannot be verified.",
    details: "With `false`, anybody between popbsmtp and the server can read along.",
    example: "false",
  },
};

export const columnTexts: KeyTexts<typeof columnEntries> = {
  address: {
    type: COLUMN,
    summary: "The column for the address, of a text type.",
    example: '"host"',
  },
  "last-seen": {
    type: COLUMN,
    summary: "The column for the time of the last login.",
    example: '"accessed"',
  },
  user: {
    type: COLUMN,
    summary: "The column for the user's name.",
    details:
      "With it, the table has a row for each address and user; without it, a row for each address.",
    without: "not recorded",
    example: '"username"',
  },
  service: {
    type: COLUMN,
    summary: "The column for the service, such as imap or pop3.",
    without: "not recorded",
    example: '"service"',
  },
  "first-seen": {
    type: COLUMN,
    summary: "The column for the time of the first login.",
    without: "not recorded",
    example: '"created"',
  },
  logins: {
    type: COLUMN,
    summary: "The column for the number of logins.",
    without: "not recorded",
    example: '"logins"',
  },
};

export const serveTexts: KeyTexts<typeof serveEntries> = {
  dict: {
    type: SOCKET,
    summary: "Where Dovecot's last_login plugin reports logins.",
    details: "Root, `user` and the members of `dict-group` may connect.",
    example: '"/run/mail/popbsmtp-dict"',
  },
  "dict-group": {
    type: "name of a group",
    summary: "The group of Dovecot's mail processes, which may connect to `dict`.",
    details: "Only a daemon that root has started can give its socket to this group.",
    without: `${code(DOVECOT_GROUP)}, if there is such a group`,
    example: '"mail"',
  },
  imap: {
    type: SOCKET,
    summary: "Where Dovecot asks after each IMAP login (post-login).",
    details: "Only root and `user` may connect.",
    example: "false",
  },
  pop3: {
    type: SOCKET,
    summary: "Where Dovecot asks after each POP3 login (post-login).",
    details: "Only root and `user` may connect.",
    example: "false",
  },
  policy: {
    type: MAPPED_SOCKET,
    summary: "Where Postfix asks the policy service whether a client may relay.",
    details:
      "Every local user may ask. A port should be below 1024: any local user can take a higher one while the daemon is not running, and so open the relay. An smtpd that is chrooted, as on Debian, reaches only paths below its queue directory.",
    example: '["/var/spool/postfix/popbsmtp/policy", "127.0.0.1:1004"]',
  },
  socketmap: {
    type: MAPPED_SOCKET,
    summary: "Where a mail server asks the socketmap whether a client may relay.",
    details: "What is said of `policy` holds here, too.",
    example: '["/run/popbsmtp/socketmap", "127.0.0.1:1005"]',
  },
  metrics: {
    type: "path of a Unix socket, an address and port, or `false` for none",
    summary: "Where Prometheus scrapes the metrics, at `/metrics` over HTTP.",
    details: "They contain no addresses and no names. There is no password.",
    example: '"127.0.0.1:9154"',
  },
  drac: {
    type: '`true` for any port, an IPv4 address and port such as `"0.0.0.0:4711"`, or `false` for none',
    summary: "Where the clients of DRAC report logins, by RPC over UDP and TCP.",
    details: "The daemon registers with rpcbind(8), which tells the clients the port.",
    example: "true",
  },
  "drac-allow": {
    type: "list of networks, or path of a file like dracd.allow",
    summary: "The hosts that may report logins to `drac`; no other may.",
    details:
      "Each line of such a file has a netmask and an address. Whoever can send from an allowed address can authorize any address.",
    without: "this host",
    example: '["192.0.2.25"]',
  },
  "relay-ctrl-udp": {
    type: 'address and port such as `"0.0.0.0:811"`, or `false` for none',
    summary: "Where the datagrams of relay-ctrl-send arrive.",
    example: '"0.0.0.0:811"',
  },
  "relay-ctrl-allow": {
    type: NETWORKS,
    summary: "The networks, besides this host, that may send them.",
    details: "Whoever can send from an allowed address can authorize any address.",
    example: '["192.0.2.26"]',
  },
  deadline: {
    type: TIME,
    summary:
      "How long a post-login request is held until its login is in the store, before the login goes to the spool.",
    details: 'With `"0s"`, every login goes through the spool.',
    example: '"100ms"',
  },
  "purge-interval": {
    type: TIME,
    summary: "How often expired authorizations are deleted.",
    example: '"6h"',
  },
  "log-level": {
    type: "string",
    summary: "The least severe level that is logged.",
    details: "Logins are logged at level info, lookups at level debug.",
    example: '"warning"',
  },
};

export const allowTexts: KeyTexts<typeof allowEntries> = {
  users: {
    type: "list of users",
    summary: "The users whose logins count, as the mail server spells their names.",
    details:
      "`*` stands for any characters, also none. Upper and lower case differ. A login that comes without a name, as those of DRAC and relay-ctrl do, is nobody's in the list.",
    without: "every user's logins count",
    example: '["scanner@example.org", "*@devices.example.org"]',
  },
  "users-file": {
    type: "path",
    summary: "A file of more such users, one a line.",
    details:
      "Blank lines and those that begin with `#` are ignored. `user` has to be able to read it. After a change, reload the daemon.",
    without: "none",
    example: '"/etc/popbsmtp/users"',
  },
  networks: {
    type: "list of networks",
    summary: "The networks from which logins count.",
    without: "logins count from everywhere",
    example: '["192.0.2.0/24", "2001:db8::/32"]',
  },
  services: {
    type: "list of services",
    summary: "The services, such as `imap` and `pop3`, whose logins count.",
    without: "the logins of every service count",
    example: '["pop3"]',
  },
};

export const watchTexts: KeyTexts<typeof watchEntries> = {
  file: {
    type: "path or list of paths",
    summary: "The log to watch, or a list of logs.",
    details: "`user` has to be able to read it.",
    example: '["/var/log/mail.log", "/var/log/courier.log"]',
  },
  format: {
    type: "string",
    summary: "The format of its lines.",
    details:
      "`uw` is that of imapd, ipop3d and ipop2d from the University of Washington, and of Panda IMAP; `auto` is all of them together.",
    without: code(DEFAULT_FORMAT),
    example: '"dovecot"',
  },
  pattern: {
    type: "regular expression",
    summary: "A format of your own, instead of `format`.",
    details:
      "It is a JavaScript regular expression with the named groups `address`, which is required, `user`, `service` and `time`. Users choose their names, and a name may look like the rest of a line: begin with `^`, end with `$`, and let no group match what ends it. Lookahead, references back to a group, and repetitions of more than 16 times are rejected.",
    without: "none",
    example: String.raw`'^\S+ vchkpw-(?<service>imap|pop3): login success (?<user>[^: ]+):(?<address>[\d.]+)$'`,
  },
  "quiet-after": {
    type: TIME,
    summary:
      "How long the log may grow without a line of an IMAP or POP3 server before the daemon warns.",
    example: '"1d"',
  },
};
