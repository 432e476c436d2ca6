/** The three stores, which the bench fills, counts and empties without popbsmtp. */
import { DatabaseSync } from "node:sqlite";
import type { DatabaseServer } from "../test/support/database-server.ts";

export interface BenchStore {
  readonly driver: "pgsql" | "mysql" | "sqlite";
  /** The section [store] of the configuration. */
  readonly section: readonly string[];
  /** The total number of recorded logins. */
  logins(): Promise<number>;
  /** Deletes all authorizations. */
  clear(): Promise<void>;
  /** Adds this many expired authorizations. */
  fillExpired(rows: number): Promise<void>;
}

const COUNT = "SELECT coalesce(sum(logins), 0) AS logins FROM popbsmtp";

export function pgsqlStore(server: DatabaseServer): BenchStore {
  return {
    driver: "pgsql",
    section: [...account(server), `host = "${server.socket}"`, `port = ${String(server.port)}`],
    logins: async () => Number((await server.query(COUNT))[0]?.["logins"]),
    clear: async () => void (await server.query("TRUNCATE popbsmtp")),
    fillExpired: async (rows) => {
      await server.query(
        `INSERT INTO popbsmtp SELECT '2001:db8::' || to_hex(n / 65536 + 1) || ':' || to_hex(n % 65536),
           'u' || n || '@example.org', 'imap', seen, seen, 1
         FROM (SELECT n, now() - interval '1 day' - n * interval '1 ms' AS seen
           FROM generate_series(1, ${String(rows)}) AS n) AS expired`,
      );
      await server.query("VACUUM ANALYZE popbsmtp");
    },
  };
}

export function mysqlStore(server: DatabaseServer): BenchStore {
  return {
    driver: "mysql",
    section: [...account(server), `host = "${server.socket}"`],
    logins: async () => Number((await server.query(COUNT))[0]?.["logins"]),
    clear: async () => void (await server.query("TRUNCATE popbsmtp")),
    fillExpired: async (rows) => {
      await server.query(
        `INSERT INTO popbsmtp SELECT concat('2001:db8::', lower(hex(seq DIV 65536 + 1)), ':', lower(hex(seq % 65536))),
           concat('u', seq, '@example.org'), 'imap', seen, seen, 1
         FROM (SELECT seq, UTC_TIMESTAMP(6) - INTERVAL 1 DAY - INTERVAL seq * 1000 MICROSECOND AS seen
           FROM seq_1_to_${String(rows)}) AS expired`,
      );
      await server.query("ANALYZE TABLE popbsmtp");
    },
  };
}

export function sqliteStore(path: string): BenchStore {
  const use = <T>(work: (database: DatabaseSync) => T) => {
    const database = new DatabaseSync(path, { timeout: 5_000 });
    try {
      return Promise.resolve(work(database));
    } finally {
      database.close();
    }
  };
  return {
    driver: "sqlite",
    section: [`path = "${path}"`],
    logins: () => use((database) => Number(database.prepare(COUNT).get()?.["logins"])),
    clear: () => use((database) => database.exec("DELETE FROM popbsmtp")),
    fillExpired: (rows) =>
      use((database) =>
        database.exec(
          `WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ${String(rows)}),
             expired AS (SELECT n, strftime('%Y-%m-%d %H:%M:%f000', 'now', '-1 day', (-n / 1000.0) || ' seconds') AS seen FROM series)
           INSERT INTO popbsmtp SELECT printf('2001:db8::%x:%x', n / 65536 + 1, n % 65536), 'u' || n || '@example.org',
             'imap', seen, seen, 1 FROM expired`,
        ),
      ),
  };
}

function account({ database, user, password }: DatabaseServer): readonly string[] {
  return [
    `database = "${database}"`,
    `user = "${user}"`,
    `password = "${password}"`,
    // Postfix
    `reader = { user = "${user}", password = "${password}" }`,
  ];
}
