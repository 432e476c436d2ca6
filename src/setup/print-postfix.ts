import type { ServerStoreConfig, SslConfig, TableStoreConfig } from "../config/config.ts";
import { ConfigError } from "../lib/errors.ts";

/** The path of the map file. */
const MAP_PATH = "/etc/postfix/popbsmtp.cf";

/** Debian's file of trusted certificate authorities, which libpq and Postfix have to be given. */
const SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/**
 * The map file: pgsql_table(5), mysql_table(5), sqlite_table(5).
 *
 * @param query the driver's query, with %s for the key
 */
export function mapLines(store: TableStoreConfig, query: string): readonly string[] {
  return [
    `# ${MAP_PATH}: Postfix asks here whether somebody has just read mail from an address.`,
    ...(store.driver === "sqlite" ? sqliteLines(store.path) : serverLines(store)),
    // a line that begins with a blank continues the one before
    `query = ${query.trim().replaceAll(/\s*\n\s*/g, " ")}`,
  ];
}

/** The lines of main.cf: postconf(5), smtpd_relay_restrictions. */
export function mainLines(driver: TableStoreConfig["driver"]): readonly string[] {
  return [
    "# /etc/postfix/main.cf: if you have an smtpd_relay_restrictions already, put the check_client_access into it, before",
    "# the reject or defer. Leave smtpd_recipient_restrictions alone: it does not decide about relaying.",
    "#",
    "# permit_auth_destination comes before the map: so mail for your own domains never asks the database, and is not",
    "# turned away with a 451 when that is down. proxy: shares connections between smtpd processes, and works where",
    "# smtpd is chrooted, as on Debian. proxy_read_maps contains $smtpd_relay_restrictions unless you have changed it.",
    "#",
    "# pipemap: without the regexp in front Postfix also asks an SQL map for an IPv6 address cut short, and what is left of",
    "# 2001:db8::1:2 is 2001:db8::1, who may have read mail. Postfix before 3.7 has no regexp in main.cf: make a file",
    "# /etc/postfix/popbsmtp.regexp of the line /^([0-9a-f.:]+)$/ $1 and write regexp:/etc/postfix/popbsmtp.regexp here.",
    "smtpd_relay_restrictions =",
    "    permit_mynetworks,",
    "    permit_sasl_authenticated,",
    "    permit_auth_destination,",
    `    check_client_access ${relayMap(driver)},`,
    "    defer_unauth_destination",
  ];
}

/**
 * The map, as main.cf names it. The first table of a pipemap decides which keys Postfix looks up
 * (dict_pipe.c), and in a regexp table it looks up whole addresses only. This one passes addresses,
 * and nothing else, to the second table.
 */
export function relayMap(driver: TableStoreConfig["driver"], path: string = MAP_PATH): string {
  return `pipemap:{ regexp:{{/^([0-9a-f.:]+)$$/ $$1}}, proxy:${driver}:${path} }`;
}

function sqliteLines(path: string): readonly string[] {
  return [
    "# The database and its directory have to be readable by Postfix's group. Run popbsmtp schema install before main.cf",
    "# names this map: where Postfix cannot open the file, its proxymap does not start, and no mail comes in.",
    `dbpath = ${path}`,
  ];
}

function serverLines(store: ServerStoreConfig): readonly string[] {
  const { user, password } = store.reader;
  const database =
    store.driver === "pgsql"
      ? [`dbname = ${conninfo(store)}`]
      : [`dbname = ${store.database}`, ...mysqlTlsLines(store.ssl)];
  return [
    "# Readable by root and Postfix only: chown root:postfix, chmod 640.",
    `hosts = ${store.hosts.map((host) => postfixHost(host, store.port)).join(" ")}`,
    `user = ${user}`,
    password === undefined
      ? "# password = (set one for this user, here or as store.reader.password-file in popbsmtp.toml, if the server wants one)"
      : `password = ${plainPassword(password.reveal())}`,
    ...database,
  ];
}

/** Postfix splits at the last colon, so an IPv6 address takes no brackets but needs the port. */
function postfixHost(host: string, port: number): string {
  return host.startsWith("/") ? `unix:${host}` : `inet:${host}:${port}`;
}

/** Postfix strips blanks around a value, and has no quotes. */
function plainPassword(password: string): string {
  if (password.trim() === password) return password;
  throw new ConfigError([
    "store.reader.password: begins or ends with a blank, which a Postfix map cannot say; choose another",
  ]);
}

/**
 * The name of the database. In its place libpq takes a connection string (PQsetdbLogin), with the
 * settings for which Postfix has no parameter: the port of a Unix socket, and TLS. A port in
 * `hosts` takes precedence.
 */
function conninfo({ database, hosts, port, ssl }: ServerStoreConfig): string {
  const settings: [string, string][] = [];
  if (port !== 5432 && hosts.some((host) => host.startsWith("/"))) {
    settings.push(["port", String(port)]);
  }
  if (ssl?.rejectUnauthorized === false) settings.push(["sslmode", "require"]);
  if (ssl?.rejectUnauthorized === true) {
    settings.push(["sslmode", "verify-full"], ["sslrootcert", ssl.caFile ?? SYSTEM_AUTHORITIES]);
  }
  if (settings.length === 0 && !database.includes("=")) return database;
  return [["dbname", database] as const, ...settings]
    .map(([key, value]) => `${key}='${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`)
    .join(" ");
}

/** Postfix uses TLS if an authority is configured. */
function mysqlTlsLines(ssl: SslConfig | undefined): readonly string[] {
  if (ssl === undefined) return [];
  return [
    `tls_CAfile = ${ssl.caFile ?? SYSTEM_AUTHORITIES}`,
    `tls_verify_cert = ${ssl.rejectUnauthorized ? "yes" : "no"}`,
  ];
}
