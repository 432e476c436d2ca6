import assert from "node:assert/strict";
import { it } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import { statements } from "../../../../src/stores/mysql/mysql-sql.ts";
import { serverWith } from "../../../support/config.ts";

it("MySQL, which rounds what MariaDB cuts, gets whole seconds for a mapped column", () => {
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  const time = Date.UTC(2026, 2, 3, 10, 0, 1, 987);
  const row = { address, user: "bob", service: "imap", firstSeen: time, lastSeen: time, logins: 1 };
  const own = serverWith({ driver: "mysql" });
  const values = (mapped: boolean) => statements({ ...own, mapped }).upsertValues([row]);
  assert.equal(values(false).filter((value) => value === "2026-03-03 10:00:01.987000").length, 2);
  assert.equal(values(true).filter((value) => value === "2026-03-03 10:00:01.000000").length, 2);
});
