import assert from "node:assert/strict";
import { it } from "node:test";
import { readSql } from "../../../../scripts/embed-sql.ts";
import { SCHEMA_SQL } from "../../../../src/stores/table/schema-sql.ts";

it("the compiled-in SQL is what is in sql/ (npx node scripts/embed-sql.ts)", () => {
  assert.deepEqual(SCHEMA_SQL, readSql());
});
