/** popbsmtp.toml(5). */
import { DEFAULT_CONFIG_PATH } from "../../src/config/config.ts";
import { allStoreKeys, KEYS, type Key } from "./keys.ts";
import { display, heading, literal, paragraph, paragraphs, tagged } from "./mdoc.ts";

const EXAMPLE = `lifetime = "20m"
exclude = ["192.0.2.0/24"]

[store]
driver = "pgsql"
host = ["db1.example.org", "db2.example.org"]
database = "mail"
password-file = "/etc/popbsmtp/popbsmtp.password"

[store.ssl]
ca = "/etc/popbsmtp/ca.pem"

[store.purger]
password-file = "/etc/popbsmtp/popbsmtp_purger.password"

[store.reader]
password-file = "/etc/popbsmtp/popbsmtp_reader.password"

[serve]
policy = "/var/spool/postfix/popbsmtp/policy"
metrics = "127.0.0.1:9154"`;

const SEVERAL = `[[store]]
driver = "sqlite"

[[store]]
driver = "relay-ctrl"
remotes = ["mx2.example.org"]`;

export function tomlPage(): string {
  return [
    ...heading("popbsmtp.toml", 5, "configuration of popbsmtp"),
    ".Sh SYNOPSIS",
    `.Pa ${DEFAULT_CONFIG_PATH}`,
    ".Sh DESCRIPTION",
    ...paragraphs(
      "This file configures popbsmtp(8). Without it, the defaults hold: the store is a SQLite file. The option --config names another file, which must exist.",
      "The file is TOML (https://toml.io) in UTF-8. A key that popbsmtp does not know is an error, and so is one in the wrong section. All errors are reported at once; `popbsmtp serve --check` reports them without starting anything.",
      'A time is a string with a unit: days (d), hours (h), minutes (m), seconds (s) and milliseconds (ms), in this order, as in `"30m"`, `"1h30m"`, `"90s"` or `"200ms"`. A path begins with a slash. A network is an address and a prefix length, as in `"192.0.2.0/24"` or `"2001:db8::/32"`, or an address.',
      "The daemon reads the file when it starts and at SIGHUP. Commands read it when they start. A drain that a wrapper has started reads it again when it changes.",
    ),
    ".Ss Top of the file",
    ...paragraph("These keys stand above the first section."),
    ...keyList(KEYS.top),
    ".Ss [store]\\&",
    ...paragraphs(
      "Where logins are recorded. Given once as `[store]`, or several times as `[[store]]`: then each login goes to every store, and lookups ask them in this order. What belongs to one of them, such as its `[store.reader]`, stands directly below it. The drivers that have a key are in parentheses.",
    ),
    ...tagged(
      allStoreKeys().map((key) => [`Ic ${key.name} Pq ${key.drivers.join(", ")}`, keyLines(key)]),
    ),
    ...section(
      "[store.purger]",
      "With driver pgsql or mysql: the account that purges and revokes.",
      KEYS.purger,
    ),
    ...section(
      "[store.reader]",
      "With driver pgsql or mysql: the account with which Postfix asks the database.",
      KEYS.reader,
    ),
    ...section("[store.ssl]", "With driver pgsql or mysql: TLS to the server.", KEYS.ssl),
    ...section(
      "[store.columns]",
      "With driver pgsql, mysql or sqlite: the columns of a table of your own. What has no column is not recorded.",
      KEYS.columns,
    ),
    ...section(
      "[serve]",
      "What the daemon, `popbsmtp serve`, does. A socket that Dovecot's master process or systemd opens for the daemon is used where they opened it, whatever is given here.",
      KEYS.serve,
    ),
    ...section(
      "[watch]",
      "The mail logs that the daemon watches; without this section, it watches none. `popbsmtp watch` uses the same keys and their defaults.",
      KEYS.watch,
    ),
    ...section(
      "[allow]",
      "Who may use POP-before-SMTP; without this section, whoever logs in. Each condition that is here has to hold. Others log in as ever, and are recorded nowhere.",
      KEYS.allow,
    ),
    ".Sh FILES",
    ...tagged([
      [
        `Pa ${DEFAULT_CONFIG_PATH}`,
        paragraph("The configuration. Make it readable by root and the group popbsmtp only."),
      ],
    ]),
    ".Sh EXAMPLES",
    ...paragraph("PostgreSQL with a standby, three accounts and TLS:"),
    ...literal(EXAMPLE.split("\n")),
    ".Pp",
    ...paragraph("A SQLite file, and another host's relay-ctrl-udp besides:"),
    ...literal(SEVERAL.split("\n")),
    ".Sh SEE ALSO",
    ".Xr popbsmtp 8",
    "",
  ].join("\n");
}

function section(title: string, introduction: string, keys: readonly Key[]): readonly string[] {
  return [`.Ss ${title}\\&`, ...paragraphs(introduction), ...keyList(keys)];
}

function keyList(keys: readonly Key[]): readonly string[] {
  return tagged(keys.map((key) => [`Ic ${key.name}`, keyLines(key)]));
}

function keyLines({ name, text, bounds, fallback, isRequired }: Key): readonly string[] {
  const { type, summary, details, without, example } = text;
  const kind = bounds === undefined ? type : `${type}, ${bounds}`;
  const otherwise = isRequired
    ? "Required."
    : `Default: ${fallback === undefined ? (without ?? "") : `\`${fallback}\``}.`;
  return [
    ...paragraphs(
      details === undefined ? summary : `${summary} ${details}`,
      `Type: ${kind}. ${otherwise} For example:`,
    ),
    display(`${name} = ${example}`),
  ];
}
