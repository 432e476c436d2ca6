/**
 * Compiles sql/ into src/stores/table/schema-sql.ts, because the single-file executable cannot read
 * other files. The module is committed; test/unit/stores/table/schema-sql.test.ts fails if it is
 * outdated.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SQL = new URL("../sql/", import.meta.url);
const MODULE = fileURLToPath(new URL("../src/stores/table/schema-sql.ts", import.meta.url));

/** The contents of sql/ for each driver: schema versions 1, 2, ... and the accounts. */
export function readSql(): Record<string, { versions: string[]; roles: string }> {
  return Object.fromEntries(
    readdirSync(SQL).map((driver) => {
      const directory = new URL(`${driver}/`, SQL);
      const text = (file: string) => readFileSync(new URL(file, directory), "utf8");
      const versions = readdirSync(directory).filter((file) => /^\d{4}-/.test(file));
      return [driver, { versions: versions.toSorted().map(text), roles: text("roles.sql") }];
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(
    MODULE,
    "// made from sql/; change it there, then run: npx node scripts/embed-sql.ts\n\n" +
      "/** For each driver the SQL of schema versions 1, 2, ..., and of the accounts. */\n" +
      `export const SCHEMA_SQL = ${JSON.stringify(readSql())} as const;\n`,
  );
  execFileSync("npx", ["oxfmt", MODULE]);
}
