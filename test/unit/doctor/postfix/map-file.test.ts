import assert from "node:assert/strict";
import { test } from "node:test";
import { mapLines } from "../../../../src/setup/print-postfix.ts";
import { isOurs, mapFindings, parseMapFile } from "../../../../src/doctor/postfix/map-file.ts";
import { postfixQuery } from "../../../../src/writers/open-stores.ts";
import { pgsql, sqlite } from "../findings/subject.ts";

test("a map file has lines, continuation lines and comments", () => {
  const map = parseMapFile(
    "# query = no\nhosts = a b\n\nquery = SELECT 'OK'\n  FROM t\n# x\n\tWHERE a = '%s'\npassword = a=b \n",
  );
  assert.deepEqual(
    map,
    new Map([
      ["hosts", "a b"],
      ["query", "SELECT 'OK' FROM t WHERE a = '%s'"],
      ["password", "a=b"],
    ]),
  );
});

for (const store of [sqlite, pgsql]) {
  const query = postfixQuery(store, 1_800_000);
  const good = mapLines(store, query).join("\n");
  const findings = (text: string) => mapFindings("/m", parseMapFile(text), store, query, ["do"]);
  const levels = (text: string) => findings(text).map(({ level }) => level);

  test(`the map of print postfix for ${store.driver} is right`, () => {
    assert.ok(isOurs(parseMapFile(good), store));
    assert.deepEqual(levels(good), ["ok"]);
  });

  test(`a map for ${store.driver} that grants for ever, for longer, or from another database is wrong`, () => {
    assert.deepEqual(levels(good.replace(/ AND .*/, "")), ["problem"]);
    assert.deepEqual(levels(good.replace("1800", "3600")), ["warning"]);
    assert.deepEqual(levels(good.replace("'%s'", "CAST('%s' AS inet)")), ["problem"]);
    assert.deepEqual(levels(good.replace(/^db(?:path|name) = .*$/m, "")), ["problem"]);
  });

  test(`a map of ${store.driver} that reads another table is not popbsmtp's`, () => {
    assert.ok(!isOurs(parseMapFile("query = SELECT goto FROM alias WHERE address = '%s'"), store));
    assert.ok(!isOurs(parseMapFile("query = SELECT x FROM popbsmtp_old WHERE a = '%s'"), store));
  });
}

test("a map that asks other hosts is a warning: they may be replicas", () => {
  const text = mapLines(pgsql, postfixQuery(pgsql, 1_800_000)).join("\n");
  for (const [hosts, count] of [
    ["inet:db.example.org:5432", 0],
    ["unix:/run/postgresql", 0],
    ["inet:2001:db8::1:5432", 0],
    ["other.example.org", 1],
  ] as const) {
    const map = parseMapFile(text.replace(/^hosts = .*$/m, `hosts = ${hosts}`));
    const warnings = mapFindings("/m", map, pgsql, postfixQuery(pgsql, 1_800_000), []).filter(
      ({ level }) => level === "warning",
    );
    assert.equal(warnings.length, count, hosts);
  }
});

test("a connection string names its database", () => {
  const query = postfixQuery(pgsql, 1_800_000);
  const text = mapLines(pgsql, query).join("\n");
  const map = parseMapFile(text.replace(/^dbname = .*$/m, "dbname = dbname='mail' port='5433'"));
  assert.deepEqual(
    mapFindings("/m", map, pgsql, query, []).map(({ level }) => level),
    ["ok"],
  );
});
