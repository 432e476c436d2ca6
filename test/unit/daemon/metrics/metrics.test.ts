import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, gauge, Histogram } from "../../../../src/daemon/metrics/exposition.ts";
import { createMetrics } from "../../../../src/daemon/metrics/metrics.ts";
import type { Readings } from "../../../../src/daemon/metrics/readings.ts";
import { parseExposition, valueOf } from "./exposition-parser.ts";

const READINGS: Readings = {
  version: "1.0.0",
  node: "v26.10.0",
  driver: "pgsql",
  known: 3,
  spool: { logins: 2, oldestSeconds: 1.5 },
  stores: [],
  hosts: [],
};

/** What Prometheus reads in it. */
function scraped(metrics = createMetrics(), readings = READINGS) {
  const samples = parseExposition(metrics.render(readings));
  return (name: string, labels?: Readonly<Record<string, string>>) =>
    valueOf(samples, name, labels);
}

test("before the first events, their counters exist with 0", () => {
  const value = scraped();
  for (const service of ["imap", "pop3"]) {
    for (const outcome of ["committed", "spooled", "excluded", "not-allowed", "lost"]) {
      assert.equal(value("popbsmtp_logins_total", { service, outcome }), 0);
    }
  }
  assert.equal(
    value("popbsmtp_lookups_total", { protocol: "policy", answer: "away", from: "store" }),
    0,
  );
  assert.equal(value("popbsmtp_malformed_requests_total", { protocol: "post-login" }), 0);
  assert.equal(value("popbsmtp_batches_failed_total"), 0);
  assert.equal(value("popbsmtp_purged_total"), 0);
});

test("before the first statement, the state of the store is unknown", () => {
  assert.equal(scraped()("popbsmtp_store_up"), undefined);
});

test("the store is up or not according to its last statement", () => {
  const up = (isUp: boolean) => {
    const stores = [{ store: undefined, isUp, spool: undefined }];
    return scraped(createMetrics(), { ...READINGS, stores })("popbsmtp_store_up");
  };
  assert.equal(up(true), 1);
  assert.equal(up(false), 0);
});

test("logins are counted and timed by service and outcome", () => {
  const metrics = createMetrics();
  metrics.login("imap", "committed", 0.0007);
  metrics.login("imap", "committed", 0.2);
  metrics.login("pop3", "spooled", 60);
  const value = scraped(metrics);
  assert.equal(value("popbsmtp_logins_total", { service: "imap", outcome: "committed" }), 2);
  assert.equal(value("popbsmtp_logins_total", { service: "pop3", outcome: "spooled" }), 1);
  assert.equal(value("popbsmtp_login_seconds_count"), 3);
  assert.equal(value("popbsmtp_login_seconds_sum"), 60.2007);
  assert.equal(value("popbsmtp_login_seconds_bucket", { le: "0.0005" }), 0);
  assert.equal(value("popbsmtp_login_seconds_bucket", { le: "0.001" }), 1);
  // a bound is in its bucket
  assert.equal(value("popbsmtp_login_seconds_bucket", { le: "0.2" }), 2);
  assert.equal(value("popbsmtp_login_seconds_bucket", { le: "5" }), 2);
});

test("at most twenty services are distinguished", () => {
  const metrics = createMetrics();
  for (let i = 0; i < 10_000; i++) metrics.login(`service${i}`, "committed", 0);
  metrics.login("imap", "committed", 0);
  const samples = parseExposition(metrics.render(READINGS));
  const services = new Set(samples.flatMap(({ labels }) => labels["service"] ?? []));
  assert.equal(services.size, 21);
  const value = scraped(metrics);
  assert.equal(value("popbsmtp_logins_total", { service: "other", outcome: "committed" }), 9_982);
  assert.equal(value("popbsmtp_logins_total", { service: "imap", outcome: "committed" }), 1);
});

test("a service's name cannot break the format", () => {
  const metrics = createMetrics();
  const hostile = ['a"} 1\n', "\\", '\\"', "\\n", "a\nb", 'x",outcome="lost', "\uD800"];
  for (const service of hostile) metrics.login(service, "committed", 0);
  const value = scraped(metrics);
  for (const service of hostile) {
    const labels = { service: service.toWellFormed(), outcome: "committed" };
    assert.equal(value("popbsmtp_logins_total", labels), 1, JSON.stringify(service));
  }
});

test("batches are measured by the source of their logins; failed ones are counted", () => {
  const metrics = createMetrics();
  metrics.batch("live", 3, 0.002, true);
  metrics.batch("spool", 500, 0.02, true);
  metrics.batch("spool", 500, 10, false);
  const value = scraped(metrics);
  assert.equal(value("popbsmtp_batch_size_sum", { source: "live" }), 3);
  assert.equal(value("popbsmtp_batch_size_sum", { source: "spool" }), 500);
  assert.equal(value("popbsmtp_batch_seconds_count", { source: "spool" }), 1);
  assert.equal(value("popbsmtp_batch_seconds_bucket", { source: "spool", le: "0.01" }), 0);
  assert.equal(value("popbsmtp_batch_seconds_bucket", { source: "spool", le: "0.025" }), 1);
  assert.equal(value("popbsmtp_batches_failed_total"), 1);
});

test("lookups are counted by protocol, answer and source, and timed by protocol", () => {
  const metrics = createMetrics();
  metrics.lookup("policy", "authorized", "memory", 0.00002);
  metrics.lookup("policy", "unknown", "store", 0.003);
  metrics.lookup("socketmap", "away", "store", 1);
  const value = scraped(metrics);
  const labels = { protocol: "policy", answer: "authorized", from: "memory" };
  assert.equal(value("popbsmtp_lookups_total", labels), 1);
  assert.equal(value("popbsmtp_lookup_seconds_count", { protocol: "policy" }), 2);
  assert.equal(value("popbsmtp_lookup_seconds_bucket", { protocol: "policy", le: "0.00005" }), 1);
  assert.equal(value("popbsmtp_lookup_seconds_sum", { protocol: "socketmap" }), 1);
});

test("malformed requests and purged authorizations are counted", () => {
  const metrics = createMetrics();
  metrics.malformed("policy");
  metrics.purged(500);
  metrics.purged(12);
  const value = scraped(metrics);
  assert.equal(value("popbsmtp_malformed_requests_total", { protocol: "policy" }), 1);
  assert.equal(value("popbsmtp_malformed_requests_total", { protocol: "socketmap" }), 0);
  assert.equal(value("popbsmtp_purged_total"), 512);
});

test("values read on request are included: spool, memory, build, process", () => {
  const value = scraped();
  assert.equal(value("popbsmtp_spool_logins"), 2);
  assert.equal(value("popbsmtp_spool_oldest_seconds"), 1.5);
  assert.equal(value("popbsmtp_known_authorizations"), 3);
  const build = { version: "1.0.0", node: "v26.10.0", driver: "pgsql" };
  assert.equal(value("popbsmtp_build_info", build), 1);
  assert.equal(value("process_start_time_seconds"), performance.timeOrigin / 1000);
  assert.ok((value("process_resident_memory_bytes") ?? 0) > 10_000_000);
  assert.ok((value("process_cpu_seconds_total") ?? 0) > 0);
});

test("each of several stores is shown by name, with its state and its waiting logins", () => {
  const value = scraped(createMetrics(), {
    ...READINGS,
    stores: [
      { store: "pgsql db", isUp: false, spool: { logins: 7, oldestSeconds: 60 } },
      { store: "sqlite /x", isUp: true, spool: undefined },
    ],
  });
  assert.equal(value("popbsmtp_store_up", { store: "pgsql db" }), 0);
  assert.equal(value("popbsmtp_store_up", { store: "sqlite /x" }), 1);
  assert.equal(value("popbsmtp_store_up"), undefined);
  assert.equal(value("popbsmtp_spool_logins"), 2);
  assert.equal(value("popbsmtp_spool_logins", { store: "pgsql db" }), 7);
  assert.equal(value("popbsmtp_spool_oldest_seconds", { store: "pgsql db" }), 60);
  assert.equal(value("popbsmtp_spool_logins", { store: "sqlite /x" }), undefined);
});

test("each of several hosts is shown with its use, and whether it accepts writes if tried", () => {
  const store = "pgsql a,b,c:5432/mail popbsmtp";
  const value = scraped(undefined, {
    ...READINGS,
    hosts: [
      { store, host: "a:5432", isCurrent: false, isUp: false },
      { store, host: "b:5432", isCurrent: true, isUp: true },
      { store, host: "c:5432", isCurrent: false, isUp: undefined },
    ],
  });
  const all = (name: string) =>
    ["a:5432", "b:5432", "c:5432"].map((host) => value(name, { store, host }));
  assert.deepEqual(all("popbsmtp_store_host_up"), [0, 1, undefined]);
  assert.deepEqual(all("popbsmtp_store_host_current"), [0, 1, 0]);
});

test("forbidden and malformed reports of logins are counted by protocol", () => {
  const metrics = createMetrics();
  metrics.denied("drac");
  metrics.malformed("relay-ctrl");
  const value = scraped(metrics);
  for (const [name, counted, other] of [
    ["popbsmtp_denied_requests_total", "drac", "relay-ctrl"],
    ["popbsmtp_malformed_requests_total", "relay-ctrl", "drac"],
  ] as const) {
    assert.equal(value(name, { protocol: counted }), 1);
    assert.equal(value(name, { protocol: other }), 0);
  }
});

test("a spool that cannot be read is not an empty one", () => {
  const value = scraped(undefined, { ...READINGS, spool: undefined });
  assert.equal(value("popbsmtp_spool_logins"), undefined);
  assert.equal(value("popbsmtp_spool_oldest_seconds"), undefined);
});

test("the format is spelled exactly", () => {
  const logins = new Counter("logins_total", "A \\ and\na line.");
  logins.add({ service: 'a"b\\c\nd', outcome: "lost" });
  logins.add({ service: "imap", outcome: "lost" }, 2);
  assert.equal(
    logins.render(),
    String.raw`# HELP logins_total A \\ and\na line.
# TYPE logins_total counter
logins_total{service="a\"b\\c\nd",outcome="lost"} 1
logins_total{service="imap",outcome="lost"} 2
`,
  );
  const seconds = new Histogram("seconds", "Seconds.", [0.5, 1]);
  for (const value of [0.25, 0.5, 2]) seconds.observe({ of: "x" }, value);
  assert.equal(
    seconds.render(),
    `# HELP seconds Seconds.
# TYPE seconds histogram
seconds_bucket{of="x",le="0.5"} 2
seconds_bucket{of="x",le="1"} 2
seconds_bucket{of="x",le="+Inf"} 3
seconds_sum{of="x"} 2.75
seconds_count{of="x"} 3
`,
  );
  assert.equal(
    gauge("g", "G.", -Infinity, { a: "b" }) + gauge("h", "H.", NaN),
    '# HELP g G.\n# TYPE g gauge\ng{a="b"} -Inf\n# HELP h H.\n# TYPE h gauge\nh NaN\n',
  );
});
