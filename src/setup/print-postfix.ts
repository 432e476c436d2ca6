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
    `# ${MAP_PATH}: with this map Postfix asks whether a user has just read mail from an address.`,
    ...(store.driver === "sqlite" ? sqliteLines(store.path) : serverLines(store)),
    // a line that begins with a blank continues the one before
    `query = ${query.trim().replaceAll(/\s*\n\s*/g, " ")}`,
  ];
}

/** The lines of main.cf: postconf(5), smtpd_relay_restrictions. */
export function mainLines(driver: TableStoreConfig["driver"]): readonly string[] {
  return [
    "# /etc/postfix/main.cf: if you already set smtpd_relay_restrictions, insert the check_client_access before its",
    "# reject or defer. Leave smtpd_recipient_restrictions alone: it does not control relaying.",
    "#",
    "# permit_auth_destination comes before the map, so that mail for your own domains never causes a query, and is not",
    "# deferred with a 451 while the database is down. proxy: shares connections between smtpd processes, and works if",
    "# smtpd is chrooted, as on Debian. proxy_read_maps contains $smtpd_relay_restrictions unless you have changed it.",
    "#",
    "# pipemap: without the regexp, Postfix would also ask the SQL map for truncated IPv6 addresses: 2001:db8::1:2 is truncated",
    "# to 2001:db8::1, from which another user may have read mail. Postfix before 3.7 has no inline regexp: create the file",
    "# /etc/postfix/popbsmtp.regexp with the line /^([0-9a-f.:]+)$/ $1 and write regexp:/etc/postfix/popbsmtp.regexp here.",
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
    "# Postfix's group must be able to read the database and its directory. Run popbsmtp schema install before main.cf",
    "# names this map: if Postfix cannot open the file, proxymap does not start, and no mail comes in.",
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
      ? "# password = (if the server requires one, set it here or as store.reader.password-file in popbsmtp.toml)"
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
    "store.reader.password: begins or ends with a blank, which a Postfix map cannot express; choose another password",
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
