/** What a configuration may say. docs: README's configuration section; DESIGN's interface is fixed. */
import * as v from "valibot";
import type { Account, Columns, Secret, StoreConfig } from "./config.ts";
import { section } from "./section.ts";
import { serveEntries, serveSection } from "./serve-schema.ts";
import {
  absolutePath,
  accountName,
  duration,
  hosts,
  identifier,
  line,
  network,
  password,
  passwordFile,
  port,
  qualifiedIdentifier,
  ssl,
} from "./values.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;

/** The columns of popbsmtp's own table. */
const OWN_COLUMNS: Columns = {
  address: "address",
  user: "user",
  service: "service",
  firstSeen: "first_seen",
  lastSeen: "last_seen",
  logins: "logins",
};

const accountEntries = {
  user: v.optional(line("the name of a database account")),
  password: v.optional(password),
  "password-file": v.optional(passwordFile),
};

const eitherOr = ["password", "password-file"] as const;
const accountSection = section(accountEntries, { eitherOr });

interface AccountInput {
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
  readonly "password-file"?: Secret | undefined;
}

function toAccount(input: AccountInput, defaultUser: string): Account {
  return {
    user: input.user ?? defaultUser,
    password: input.password ?? input["password-file"],
  };
}

const columns = v.pipe(
  section({
    address: identifier,
    "last-seen": identifier,
    user: v.optional(identifier),
    service: v.optional(identifier),
    "first-seen": v.optional(identifier),
    logins: v.optional(identifier),
  }),
  v.check((named) => {
    const names = Object.values(named);
    return new Set(names).size === names.length;
  }, "two keys name the same column"),
  v.transform((named): Columns => ({
    address: named.address,
    lastSeen: named["last-seen"],
    user: named.user,
    service: named.service,
    firstSeen: named["first-seen"],
    logins: named.logins,
  })),
);

const serverEntries = {
  port: v.optional(port),
  database: line("the name of a database"),
  ...accountEntries,
  columns: v.optional(columns),
  ssl: v.optional(ssl),
  purger: v.optional(accountSection),
  reader: v.optional(accountSection),
};
const pgsqlEntries = {
  driver: v.literal("pgsql"),
  host: v.optional(hosts),
  table: v.optional(qualifiedIdentifier, "popbsmtp"),
  ...serverEntries,
};
const mysqlEntries = {
  driver: v.literal("mysql"),
  host: v.optional(hosts),
  table: v.optional(identifier, "popbsmtp"),
  ...serverEntries,
};
const sqliteEntries = {
  driver: v.literal("sqlite"),
  path: v.optional(absolutePath, "/var/lib/popbsmtp/popbsmtp.db"),
  table: v.optional(identifier, "popbsmtp"),
  columns: v.optional(columns),
};
const topEntries = {
  spool: v.optional(absolutePath, "/var/spool/popbsmtp"),
  lifetime: v.optional(duration(SECOND, 7 * DAY), "30m"),
  user: v.optional(accountName, "popbsmtp"),
  linger: v.optional(duration(0, DAY), "60s"),
  exclude: v.optional(
    v.array(network, 'expected a list of networks such as ["192.0.2.0/24"]'),
    () => [],
  ),
};

// A key after the wrong [section] line is TOML's classic mistake.
const topKeysAreElsewhere = reasons(
  topEntries,
  "belongs at the top of the file, before the first [section]",
);
const onlyServersHave = reasons(pgsqlEntries, 'not a key of driver "sqlite"');
const onlySqliteHas = reasons(sqliteEntries, 'a key of driver "sqlite" only');
const storeKeysAreElsewhere = reasons(
  { ...pgsqlEntries, ...sqliteEntries },
  "belongs in the section [store]",
);
const serveKeysAreElsewhere = reasons(serveEntries, "belongs in the section [serve]");

function reasons(entries: v.ObjectEntries, reason: string): ReadonlyMap<string, string> {
  return new Map(Object.keys(entries).map((key) => [key, reason]));
}

const notForServers = new Map([...serveKeysAreElsewhere, ...topKeysAreElsewhere, ...onlySqliteHas]);
const pgsqlSection = section(pgsqlEntries, { elsewhere: notForServers, eitherOr });
const mysqlSection = section(mysqlEntries, { elsewhere: notForServers, eitherOr });
const sqliteSection = section(sqliteEntries, {
  elsewhere: new Map([...serveKeysAreElsewhere, ...topKeysAreElsewhere, ...onlyServersHave]),
});

type StoreInput =
  | v.InferOutput<typeof pgsqlSection>
  | v.InferOutput<typeof mysqlSection>
  | v.InferOutput<typeof sqliteSection>;

/** Debian's sockets on this host: where a database is that has no `host`. */
const SERVER_DEFAULTS = {
  pgsql: { host: "/var/run/postgresql", port: 5432 },
  mysql: { host: "/run/mysqld/mysqld.sock", port: 3306 },
};

function toStoreConfig(input: StoreInput): StoreConfig {
  const table = {
    table: input.table,
    columns: input.columns ?? OWN_COLUMNS,
    mapped: input.columns !== undefined,
  };
  if (input.driver === "sqlite") return { ...table, driver: input.driver, path: input.path };
  const { host, port: defaultPort } = SERVER_DEFAULTS[input.driver];
  return {
    ...table,
    driver: input.driver,
    hosts: input.host ?? [host],
    port: input.port ?? defaultPort,
    database: input.database,
    writer: toAccount(input, "popbsmtp"),
    purger: input.purger && toAccount(input.purger, "popbsmtp_purger"),
    reader: toAccount(input.reader ?? {}, "popbsmtp_reader"),
    ssl: input.ssl,
  };
}

const storeSection = v.pipe(
  v.variant("driver", [pgsqlSection, mysqlSection, sqliteSection], (issue) =>
    issue.path === undefined ? "expected a section" : 'expected "pgsql", "mysql" or "sqlite"',
  ),
  v.transform(toStoreConfig),
);

/** The whole file; its output is {@link Config} without the path. */
export const configSchema = section(
  {
    ...topEntries,
    store: v.optional(storeSection, { driver: "sqlite" }),
    serve: v.optional(
      serveSection({ elsewhere: new Map([...storeKeysAreElsewhere, ...topKeysAreElsewhere]) }),
      {},
    ),
  },
  { elsewhere: new Map([...serveKeysAreElsewhere, ...storeKeysAreElsewhere]) },
);
