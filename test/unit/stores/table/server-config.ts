import type { ServerStoreConfig } from "../../../../src/config/config.ts";

const account = { user: "popbsmtp", password: undefined };

/** A server's configuration for tests that connect to none. */
export function serverConfigWith(changes: Partial<ServerStoreConfig>): ServerStoreConfig {
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
    columns: {
      address: "address",
      lastSeen: "last_seen",
      user: "user",
      service: "service",
      firstSeen: "first_seen",
      logins: "logins",
    },
    mapped: false,
    ...changes,
  };
}
