import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeHosts } from "../../../../src/doctor/host/hosts-check.ts";
import type { HostReport } from "../../../../src/stores/server/examine-hosts.ts";
import { pgsql } from "../findings/subject.ts";

const store = { ...pgsql, hosts: ["a", "b"] };
const mysql = { ...store, driver: "mysql" as const, port: 3306 };

function report(host: string, changes: Partial<HostReport> = {}): HostReport {
  return {
    host,
    place: `${host}:5432`,
    standing: "writable",
    problem: undefined,
    identity: "one",
    ...changes,
  };
}

const standby = report("b", { standing: "read-only", problem: "takes no writes (a standby)" });
const away = report("b", { standing: "away", problem: "connect ECONNREFUSED" });

test("a primary with its standby is right", () => {
  assert.deepEqual(judgeHosts(store, [report("a"), standby]), [
    { level: "ok", text: "a:5432: takes writes", advice: [] },
    { level: "ok", text: "b:5432: takes no writes (a standby)", advice: [] },
  ]);
});

test("an unreachable host is a warning, with how to examine it", () => {
  const [, finding] = judgeHosts(store, [report("a"), away]);
  assert.deepEqual(finding, {
    level: "warning",
    text: "b:5432: cannot be reached: connect ECONNREFUSED",
    advice: ["pg_isready -h b -p 5432    # and on that host: systemctl status postgresql"],
  });
});

test("a host that rejects the account is a warning, with the remedy", () => {
  const refused = report("b", { standing: "refused", problem: "password authentication failed" });
  const [, finding] = judgeHosts(store, [report("a"), refused]);
  assert.equal(finding?.level, "warning");
  assert.match(finding.advice.join(), /^ALTER ROLE popbsmtp PASSWORD/);
});

for (const [name, where, problem, remedy] of [
  ["a standby", store, "takes no writes (a standby)", /^SELECT pg_promote\(\);/],
  [
    "a read-only primary",
    store,
    "takes no writes (default_transaction_read_only is on)",
    /^ALTER SYSTEM RESET default_transaction_read_only;/,
  ],
  ["a replica", mysql, "takes no writes (read_only is on)", /^SET GLOBAL read_only = 0;/],
  [
    "a Galera node without quorum",
    mysql,
    "takes no writes (a Galera node that is not Primary)",
    /pc\.bootstrap=YES/,
  ],
] as const) {
  test(`with ${name} alone, the remedy fits`, () => {
    const [, , finding, ...others] = judgeHosts(where, [
      report("a", { standing: "read-only", problem }),
      away,
    ]);
    assert.deepEqual([finding?.level, others], ["warning", []]);
    assert.match(finding?.advice.join() ?? "", remedy);
  });
}

test("two servers that both accept writes are a warning; two addresses of one server, or a cluster, are not", () => {
  const apart = judgeHosts(store, [report("a"), report("b", { identity: "other" })]);
  assert.match(apart[2]?.text ?? "", /^a:5432 and b:5432 take writes, and are different servers/);
  assert.equal(judgeHosts(store, [report("a"), report("b")]).length, 2);
});
