import assert from "node:assert/strict";
import { it } from "node:test";
import { statements } from "../../../src/stores/mysql-sql.ts";
import { serverConfigWith } from "./server-config.ts";

it("MySQL, which rounds what MariaDB cuts, gets whole seconds for a mapped column", () => {
  const own = serverConfigWith({ driver: "mysql" });
  assert.doesNotMatch(statements(own).upsert(1), /DATE_FORMAT/);
  assert.match(
    statements({ ...own, mapped: true }).upsert(1),
    /DATE_FORMAT\(IF\(.*'%Y-%m-%d %H:%i:%s'\)/,
  );
});
