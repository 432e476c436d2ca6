/** The section [store]. */
import * as v from "valibot";
import {
  placeOf,
  type DatabaseAccount,
  type Columns,
  type Config,
  type StoreConfig,
} from "../config.ts";
import { nearest, section } from "./section.ts";
import { quote } from "./values.ts";
import { eitherOr, storeEntries, type AccountInput } from "./store-entries.ts";

/** The columns of popbsmtp's own table. */
const OWN_COLUMNS: Columns = {
  address: "address",
  user: "user",
  service: "service",
  firstSeen: "first_seen",
  lastSeen: "last_seen",
  logins: "logins",
};

/** Without `host`, the database is on this host, at Debian's sockets. */
export const SERVER_DEFAULTS = {
  pgsql: { host: "/var/run/postgresql", port: 5432 },
  mysql: { host: "/run/mysqld/mysqld.sock", port: 3306 },
};

/** The accounts of a database server unless others are named. */
export const ACCOUNT_DEFAULTS = {
  writer: "popbsmtp",
  purger: "popbsmtp_purger",
  reader: "popbsmtp_reader",
};

/** The keys of all drivers. */
export const STORE_KEYS: readonly string[] = [
  ...new Set(Object.values(storeEntries).flatMap((entries) => Object.keys(entries))),
];

type Elsewhere = ReadonlyMap<string, string>;

function sections(elsewhere: Elsewhere) {
  const rules = (driver: string, own: object) => ({
    elsewhere: new Map([
      ...elsewhere,
      ...STORE_KEYS.filter((key) => !Object.hasOwn(own, key)).map(
        (key) => [key, `not a key of driver "${driver}"`] as const,
      ),
    ]),
  });
  const { pgsql, mysql, sqlite, "relay-ctrl": relayCtrl, drac } = storeEntries;
  return [
    section(pgsql, { ...rules("pgsql", pgsql), eitherOr }),
    section(mysql, { ...rules("mysql", mysql), eitherOr }),
    section(sqlite, rules("sqlite", sqlite)),
    v.pipe(
      section(relayCtrl, rules("relay-ctrl", relayCtrl)),
      v.check(
        ({ path, remotes = [] }) => path !== undefined || remotes.length > 0,
        "neither a directory (path) nor remotes: logins would go nowhere",
      ),
    ),
    section(drac, rules("drac", drac)),
  ] as const;
}

type StoreInput = v.InferOutput<ReturnType<typeof sections>[number]>;

/** The stores that a section names, each with an outcome of its own. */
function toStoreConfigs(input: StoreInput): readonly StoreConfig[] {
  switch (input.driver) {
    case "drac":
      return input.hosts.map((host) => ({ driver: "drac", host }));
    case "relay-ctrl": {
      const { driver, path, remotes = [], port, tries, timeout } = input;
      return [
        ...(path === undefined ? [] : [{ driver, path }]),
        ...remotes.map((host) => ({
          driver: "relay-ctrl-udp" as const,
          host,
          port,
          tries,
          timeout,
        })),
      ];
    }
    case "sqlite":
      return [{ ...toTable(input), driver: input.driver, path: input.path }];
    default: {
      const { host, port } = SERVER_DEFAULTS[input.driver];
      return [
        {
          ...toTable(input),
          driver: input.driver,
          hosts: input.host ?? [host],
          port: input.port ?? port,
          database: input.database,
          writer: toAccount(input, ACCOUNT_DEFAULTS.writer),
          purger: input.purger && toAccount(input.purger, ACCOUNT_DEFAULTS.purger),
          reader: toAccount(input.reader ?? {}, ACCOUNT_DEFAULTS.reader),
          ssl: input.ssl,
        },
      ];
    }
  }
}

function toTable({
  table,
  columns,
}: {
  readonly table: string;
  readonly columns?: Columns | undefined;
}) {
  return { table, columns: columns ?? OWN_COLUMNS, mapped: columns !== undefined };
}

function toAccount(input: AccountInput, defaultUser: string): DatabaseAccount {
  return {
    user: input.user ?? defaultUser,
    password: input.password ?? input["password-file"],
  };
}

const DRIVERS = 'expected "pgsql", "mysql", "sqlite", "relay-ctrl" or "drac"';

/** Other names of the drivers. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ["mariadb", "mysql"],
  ["maria", "mysql"],
  ["mysql2", "mysql"],
  ["postgres", "pgsql"],
  ["postgresql", "pgsql"],
  ["pg", "pgsql"],
  ["psql", "pgsql"],
  ["sqlite3", "sqlite"],
]);

function unknownDriver(driver: unknown): string {
  if (typeof driver !== "string") return DRIVERS;
  const meant =
    OTHER_NAMES.get(driver.toLowerCase()) ??
    nearest(driver.toLowerCase(), Object.keys(storeEntries));
  return meant === undefined ? DRIVERS : `${quote(driver)} is no driver; did you mean "${meant}"?`;
}

/**
 * The section, given once or several times. Its output is the stores of {@link Config}.
 *
 * @param elsewhere the reasons for keys that belong elsewhere, by key
 */
export function storeSections(elsewhere: Elsewhere) {
  const one = v.pipe(
    v.variant("driver", sections(elsewhere), (issue) =>
      issue.path === undefined ? "expected a section" : unknownDriver(issue.input),
    ),
    v.transform(toStoreConfigs),
  );
  const several = v.pipe(
    v.array(one),
    v.transform((all) => all.flat()),
  );
  return v.pipe(
    v.lazy((input) => (Array.isArray(input) ? several : one)),
    v.rawTransform(({ dataset, addIssue, NEVER }): Config["stores"] => {
      const [first, ...others] = dataset.value;
      if (first === undefined) {
        addIssue({ message: "expected a section" });
        return NEVER;
      }
      const places = dataset.value.map(placeOf);
      for (const place of new Set(places.filter((each, at) => places.indexOf(each) < at))) {
        addIssue({ message: `${place} is there twice` });
      }
      return [first, ...others];
    }),
  );
}
