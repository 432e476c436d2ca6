/** The examples for Prometheus and Grafana, against Debian's Prometheus and a daemon at work. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { freePort } from "../support/free-port.ts";
import { install } from "../support/installation.ts";
import { startPrometheus, type Prometheus } from "../support/prometheus.ts";
import { runOk } from "../support/run.ts";
import { askPolicy, askSocket, postLoginRequest, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

function path(file: string): string {
  return fileURLToPath(new URL(`../../${file}`, import.meta.url));
}

const RULES = path("examples/prometheus-alerts.yml");
const RULES_TEST = path("test/integration/prometheus/alerts.yml");
const DASHBOARD = path("examples/grafana-dashboard.json");

describe("the alerts", () => {
  it("are rules that Prometheus takes", async () => {
    assert.match(await runOk("promtool", ["check", "rules", RULES]), /SUCCESS/);
  });

  it("fire when they should, and not on a host in order", async () => {
    await runOk("promtool", ["test", "rules", RULES_TEST]);
  });

  it("are all tested", () => {
    const tests = readFileSync(RULES_TEST, "utf8");
    for (const name of alertNames()) assert.match(tests, new RegExp(`alertname="${name}"`), name);
  });
});

describe("with a daemon that has had logins and lookups", () => {
  const stack = new AsyncDisposableStack();
  let prometheus: Prometheus;

  before(async () => {
    const port = await freePort();
    const box = stack.use(await install("pgsql"));
    // popbsmtp_store_host_* are exported for several hosts only
    const config = readFileSync(box.config, "utf8");
    writeFileSync(box.config, config.replace(/^host = (".*")$/m, 'host = [$1, "127.0.0.9"]'));
    const serve = stack.use(await startServe(box, `metrics = "127.0.0.1:${String(port)}"`));
    prometheus = stack.use(await startPrometheus(`127.0.0.1:${String(port)}`, "popbsmtp"));
    await askSocket(serve.imap, postLoginRequest("192.0.2.1", "bob"));
    await box.wrapper({ IP: "192.0.2.2", USER: "ann" });
    for (const address of ["192.0.2.1", "192.0.2.3"]) await askPolicy(serve.policy, address);
    await askSocket(serve.socketmap, "15:relay 192.0.2.1,");
  });
  after(() => stack.disposeAsync());

  it("every expression of the dashboard has a result", async () => {
    const all = dashboardExpressions();
    assert.ok(all.length > 20);
    for (const expression of all) {
      await waitUntil(`a result of ${expression}`, async () => {
        return (await prometheus.query(expression)).length > 0;
      });
    }
  });

  it("every expression of the alerts is one of metrics that there are", async () => {
    const rules = readFileSync(RULES, "utf8");
    const names = new Set(rules.match(/\b(?:popbsmtp_|process_)\w+|\bup\b(?=\{)/g));
    assert.ok(names.size >= 9);
    const known = await prometheus.metricNames();
    for (const name of names) assert.ok(known.includes(name), name);
  });
});

function alertNames(): readonly string[] {
  const rules = readFileSync(RULES, "utf8");
  return Array.from(rules.matchAll(/^ +- alert: (\w+)$/gm), ([, name = ""]) => name);
}

const dashboard = v.object({
  panels: v.array(v.object({ targets: v.optional(v.array(v.object({ expr: v.string() })), []) })),
});

/** The expressions as Grafana sends them if all jobs and instances are selected. */
function dashboardExpressions(): readonly string[] {
  const { panels } = v.parse(dashboard, JSON.parse(readFileSync(DASHBOARD, "utf8")));
  return panels.flatMap(({ targets }) =>
    targets.map(({ expr }) =>
      expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$(?:job|instance)\b/g, ".*"),
    ),
  );
}
