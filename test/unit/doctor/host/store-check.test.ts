import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../../../../src/config/config.ts";
import { storeFindings } from "../../../../src/doctor/host/store-check.ts";
import { StoreAwayError } from "../../../../src/lib/errors.ts";
import type { OneWaySink, Store } from "../../../../src/stores/store.ts";
import { memoryStore } from "../../commands/memory-store.ts";
import { config as defaults, pgsql, subject as defaultSubject } from "../findings/subject.ts";

const NOW = Date.UTC(2026, 2, 3, 10);
const config: Config = { ...defaults, stores: [pgsql] };

const subject = { ...defaultSubject, config, now: NOW };

function look(writer: Store, version = 2) {
  return storeFindings(subject, pgsql, { writer, purger: writer, version });
}

test("the trial authorizes no address, and is deleted again", async () => {
  const store = memoryStore();
  await look(store);
  const [login, ...others] = store.recorded;
  assert.equal(others.length, 0);
  assert.equal(login?.address, "192.0.2.0");
  assert.ok(NOW - (login?.time ?? NOW) > 7 * 86_400_000);
  assert.deepEqual(store.revocations, [{ address: "192.0.2.0" }, { address: "192.0.2.0" }]);
});

test("if an account cannot delete, no trial row is written, which would stay", async () => {
  const store = memoryStore();
  const purger: Store = {
    ...memoryStore(),
    revoke: () => Promise.reject(new StoreAwayError("store: pgsql: permission denied")),
  };
  const findings = await storeFindings(subject, pgsql, { writer: store, purger, version: 2 });
  assert.equal(store.recorded.length, 0);
  assert.deepEqual(findings[1], {
    level: "problem",
    text: "it can be reached, but: pgsql: permission denied",
    advice: ["popbsmtp schema print --roles    # what each account has to be granted"],
  });
});

const clocks = [
  [0, "ok", "its clock agrees with this host's"],
  [-1_900, "ok", "its clock agrees with this host's"],
  [5_000, "warning", "its clock is 5 s ahead of this host's"],
  [-300_000, "problem", "its clock is 5 min behind this host's"],
] as const;
for (const [ahead, level, text] of clocks) {
  test(`a clock ${String(ahead)} ms ahead: ${level}`, async () => {
    const finding = (await look(memoryStore([], ahead)))[2];
    assert.deepEqual([finding?.level, finding?.text], [level, text]);
  });
}

test("a schema newer than this program is left alone", async () => {
  const [finding, ...others] = await look(memoryStore(), 1);
  assert.equal(others.length, 0);
  assert.match(finding?.text ?? "", /schema version 2, but this popbsmtp supports 1/);
});

test("a store that is away is a single problem, of its own kind", async () => {
  const away: Store = {
    ...memoryStore(),
    schemaVersion: () => Promise.reject(new StoreAwayError("store: pgsql db.example.org: gone")),
  };
  const findings = await look(away);
  assert.deepEqual(
    findings.map(({ level, text, outage }) => [level, text, outage]),
    [
      [
        "problem",
        "pgsql db.example.org: gone: logins wait in the spool until it is back, and do not open the relay until then",
        "store",
      ],
    ],
  );
});

test("a store that is away does not keep addresses in the daemon's memory from relaying", async () => {
  const away: Store = {
    ...memoryStore(),
    schemaVersion: () => Promise.reject(new StoreAwayError("store: pgsql db.example.org: gone")),
  };
  const stores = { writer: away, purger: away, version: 2 };
  const only = { ...pgsql, hosts: ["db.example.org"] };
  const [finding] = await storeFindings({ ...subject, daemon: 4711 }, only, stores);
  assert.match(finding?.text ?? "", /popbsmtp serve keeps them in memory and lets them relay/);
  assert.match(finding?.advice[0] ?? "", /^pg_isready -h db\.example\.org -p 5432 /);
});

test("a server that rejects the account or the database is not an outage", async () => {
  const cases = [
    [pgsql, { code: "28P01" }, "ALTER ROLE popbsmtp PASSWORD"],
    [pgsql, { code: "3D000" }, "runuser -u postgres -- createdb mail"],
    [{ ...pgsql, driver: "mysql" }, { errno: 1045 }, "ALTER USER popbsmtp@'%' IDENTIFIED BY"],
    [{ ...pgsql, driver: "mysql" }, { errno: 1049 }, "CREATE DATABASE `mail`"],
  ] as const;
  for (const [store, code, advice] of cases) {
    const cause = Object.assign(new Error("no"), code);
    // as where several hosts were tried
    const error = new StoreAwayError("store: db: no", { cause: new AggregateError([cause]) });
    const away = { ...memoryStore(), schemaVersion: () => Promise.reject(error) };
    const [finding] = await storeFindings(subject, store, {
      writer: away,
      purger: away,
      version: 2,
    });
    assert.equal(finding?.level, "problem");
    assert.equal(finding.outage, undefined);
    assert.ok(finding.advice.join("\n").includes(advice), finding.advice.join("\n"));
  }
});

test("a daemon on another host is only asked whether it exists", async () => {
  let probed = 0;
  const sink: OneWaySink = {
    name: "drac host",
    authorize: () => Promise.reject(new Error("nobody is to be authorized")),
    probe: async () => void (probed += 1),
    close: () => Promise.resolve(),
  };
  const findings = await storeFindings(
    subject,
    { driver: "drac", host: "host" },
    { writer: sink, purger: sink, version: 2 },
  );
  assert.deepEqual(
    findings.map(({ level, text }) => [level, text]),
    [["ok", "drac host: reached; only a login shows whether this host may report to it"]],
  );
  assert.equal(probed, 1);
});
