import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { postfixQuery, rolesText, schemaText } from "../../../../src/writers/open-stores.ts";
import { serverWith, sqliteWith } from "../../../support/config.ts";

const columns = {
  address: "host",
  lastSeen: "accessed",
  user: undefined,
  service: undefined,
  firstSeen: undefined,
  logins: undefined,
};
const pgsql = serverWith({ table: "mail.relay", columns });
const mysql = serverWith({ driver: "mysql", table: "relay", columns });
const sqlite = sqliteWith({ path: "/x", table: "relay", columns });

describe("schemaText", () => {
  it("names the configured table, in its schema, everywhere", () => {
    const text = schemaText(pgsql);
    assert.match(text, /CREATE TABLE IF NOT EXISTS "mail"\."relay" \(/);
    assert.match(text, /CREATE TABLE IF NOT EXISTS "mail"\."relay_schema" \(/);
    assert.match(text, /CREATE INDEX IF NOT EXISTS "relay_last_seen" ON "mail"\."relay" \(/);
  });

  for (const config of [pgsql, mysql, sqlite]) {
    it(`leaves no other table's name in ${config.driver}`, () => {
      const sql = schemaText(config).replaceAll(/^--.*$/gm, "");
      assert.doesNotMatch(sql, /["'`]popbsmtp/);
      assert.match(sql, /relay/);
    });
  }

  it("has nothing to install where the table is mapped", () => {
    assert.equal(
      schemaText({ ...pgsql, mapped: true }),
      "-- The table mail.relay is your own (store.columns): there is nothing to install.\n",
    );
  });
});

describe("rolesText", () => {
  it("gives the accounts rights to the configured table, and keeps their names", () => {
    assert.match(rolesText(pgsql), /GRANT SELECT, DELETE ON "mail"\."relay" TO popbsmtp_purger;/);
    assert.match(rolesText(mysql), /GRANT SELECT, DELETE ON `relay` TO popbsmtp_purger@'%';/);
  });
});

describe("postfixQuery", () => {
  for (const [config, query] of [
    [
      pgsql,
      `SELECT 'OK' FROM "mail"."relay" WHERE "host" = '%s' AND "accessed" > now() - interval '1800 seconds' ` +
        `AND "accessed" <= now() + interval '1 minute' LIMIT 1`,
    ],
    [
      mysql,
      "SELECT 'OK' FROM `relay` WHERE `host` = '%s' AND `accessed` > UTC_TIMESTAMP(6) - INTERVAL 1800 SECOND " +
        "AND `accessed` <= UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE LIMIT 1",
    ],
    [
      sqlite,
      `SELECT 'OK' FROM "relay" WHERE "host" = '%s' AND julianday("accessed") > julianday('now', '-1800 seconds') ` +
        `AND julianday("accessed") <= julianday('now', '+1 minute') LIMIT 1`,
    ],
  ] as const) {
    it(`is one line with the lifetime in seconds in ${config.driver}`, () => {
      assert.equal(postfixQuery(config, 1_800_000), query);
    });
  }
});
