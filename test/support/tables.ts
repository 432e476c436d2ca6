/** popbsmtp's tables without popbsmtp: tests make and read them often, and a process takes longer. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { findAccount } from "../../src/system/privileges.ts";
import { dataDirectory } from "./data-directory.ts";
import type { DatabaseServer } from "./database-server.ts";
import { runOk } from "./run.ts";

/** An authorization. */
export interface Row {
  readonly address: string;
  readonly user: string;
  readonly service: string;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly logins: number;
}

/** The built program. */
export const BUILT = fileURLToPath(new URL("../../bin/popbsmtp", import.meta.url));

const SQL = fileURLToPath(new URL("../../sql/", import.meta.url));

/** Creates the tables in a server's database, as its account. */
export async function createTables(
  driver: "pgsql" | "mysql",
  { query, user }: Pick<DatabaseServer, "query" | "user">,
): Promise<void> {
  const scripts = readdirSync(join(SQL, driver))
    .filter((name) => /^\d/.test(name))
    .toSorted()
    .map((name) => readFileSync(join(SQL, driver, name), "utf8"));
  // in MySQL a table has no owner
  const owner = driver === "pgsql" ? [`SET ROLE ${user};\n`] : [];
  await query([...owner, ...scripts].join(""));
}

/**
 * Makes a SQLite store, and the directory that it is in: a copy of what this version of popbsmtp
 * has made once for this user.
 */
export async function createSqliteFile(path: string, user: string): Promise<void> {
  const sha256 = createHash("sha256").update(readFileSync(BUILT)).digest("hex");
  await dataDirectory(dirname(path), {
    owner: undefined,
    key: [sha256, user, String(findAccount("postfix")?.gid)],
    make: async (data, scratch) => {
      const config = join(scratch, "popbsmtp.toml");
      writeFileSync(
        config,
        `user = "${user}"\n[store]\ndriver = "sqlite"\npath = "${join(data, "popbsmtp.db")}"\n`,
      );
      await runOk(BUILT, ["--config", config, "schema", "install"]);
    },
  });
}

const ROWS = "SELECT * FROM popbsmtp ORDER BY last_seen DESC";

/** All rows of a server's table, the latest first. */
export async function serverRows({
  query,
}: Pick<DatabaseServer, "query">): Promise<readonly Row[]> {
  return (await query(ROWS)).map(rowOf);
}

/** All rows of a SQLite store, the latest first. */
export function sqliteRows(path: string): readonly Row[] {
  // a reader that may write deletes the files beside the database when it is the last to leave
  const database = new DatabaseSync(path, { timeout: 5_000, readOnly: true });
  try {
    return database.prepare(ROWS).all().map(rowOf);
  } finally {
    database.close();
  }
}

/** A row as each of the drivers returns it; times are UTC. */
function rowOf({
  address,
  user,
  service,
  first_seen: firstSeen,
  last_seen: lastSeen,
  logins,
}: Record<string, unknown>): Row {
  return {
    address: String(address),
    user: String(user),
    service: String(service),
    firstSeen: timeOf(firstSeen),
    lastSeen: timeOf(lastSeen),
    logins: Number(logins),
  };
}

/** To the millisecond, as `list --json` has it. */
function timeOf(value: unknown): string {
  return (value instanceof Date ? value : new Date(`${String(value)}Z`)).toISOString();
}
