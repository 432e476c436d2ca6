/** The keys of a section [store], by driver. */
import * as v from "valibot";
import type { Columns, Secret } from "../config.ts";
import { section } from "./section.ts";
import {
  absolutePath,
  count,
  directory,
  duration,
  hosts,
  identifier,
  line,
  password,
  passwordFile,
  port,
  qualifiedIdentifier,
  remoteHosts,
  ssl,
} from "./values.ts";

const SECOND = 1000;

/** An account of a database server, as configured. */
export interface AccountInput {
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
  readonly "password-file"?: Secret | undefined;
}

/** The keys of [store.purger] and [store.reader]. */
export const accountEntries = {
  user: v.optional(line("the name of a database account")),
  password: v.optional(password),
  "password-file": v.optional(passwordFile),
};

/** Two ways to give a password; only one is allowed. */
export const eitherOr = ["password", "password-file"] as const;
const accountSection = section(accountEntries, { eitherOr });

/** The keys of [store.columns]. */
export const columnEntries = {
  address: identifier,
  "last-seen": identifier,
  user: v.optional(identifier),
  service: v.optional(identifier),
  "first-seen": v.optional(identifier),
  logins: v.optional(identifier),
};

const columns = v.pipe(
  section(columnEntries),
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
  host: v.optional(hosts),
  port: v.optional(port),
  database: line("the name of a database"),
  ...accountEntries,
  columns: v.optional(columns),
  ssl: v.optional(ssl),
  purger: v.optional(accountSection),
  reader: v.optional(accountSection),
};

/** In the order in which messages list the drivers. */
export const storeEntries = {
  pgsql: {
    driver: v.literal("pgsql"),
    table: v.optional(qualifiedIdentifier, "popbsmtp"),
    ...serverEntries,
  },
  mysql: {
    driver: v.literal("mysql"),
    table: v.optional(identifier, "popbsmtp"),
    ...serverEntries,
  },
  sqlite: {
    driver: v.literal("sqlite"),
    path: v.optional(absolutePath, "/var/lib/popbsmtp/popbsmtp.db"),
    table: v.optional(identifier, "popbsmtp"),
    columns: v.optional(columns),
  },
  "relay-ctrl": {
    driver: v.literal("relay-ctrl"),
    path: v.optional(directory, "/var/spool/relay-ctrl/allow"),
    remotes: v.optional(remoteHosts),
    port: v.optional(port, 811),
    tries: v.optional(count(1, 100), 5),
    timeout: v.optional(duration(SECOND / 100, 60 * SECOND), "1s"),
  },
  drac: {
    driver: v.literal("drac"),
    hosts: remoteHosts,
  },
} as const;
