/**
 * Two PostgreSQL servers in `host`, each with tables of its own: what a login became is in the one
 * that was there.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { get, IncomingMessage } from "node:http";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseExposition, valueOf } from "../unit/daemon/metrics/exposition-parser.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { install, type Installation } from "../support/installation.ts";
import type { Row } from "../support/tables.ts";
import { assertRecorded, startLoad, type Load } from "../support/post-login-load.ts";
import { startPostgres } from "../support/postgres.ts";
import { askPolicy, startServe, type Serve } from "../support/serve.ts";
import { useHosts } from "../support/trial.ts";
import { waitUntil } from "../support/wait-until.ts";

const SECOND = "127.0.0.2";
const ONLY_IN_SECOND = "198.51.100.2";
const STRANGER = "198.51.100.3";

describe("of two PostgreSQL servers in `host`, under load", () => {
  const stack = new AsyncDisposableStack();
  let box: Installation;
  let serve: Serve;
  let load: Load;
  let first: DatabaseServer;
  let second: DatabaseServer;

  before(async () => {
    box = stack.use(await install("pgsql"));
    const { server } = box;
    assert.ok(server !== undefined);
    first = server;
    second = stack.use(await startPostgres({ host: SECOND, port: first.port }));
    useHosts(box, [second.host]);
    await box.popbsmtp("schema", "install");
    await box.popbsmtp("allow", ONLY_IN_SECOND);
    useHosts(box, [first.host, second.host]);
    serve = stack.use(await startServe(box, `metrics = "${metrics()}"`));
    load = stack.use(startLoad(serve.imap));
  });
  after(() => stack.disposeAsync());

  const metrics = () => join(box.directory, "metrics");
  /** A metric of the first host and of the second. */
  const ofBoth = async (name: string) => {
    const text = await scrape(metrics());
    const [store, port] = [/store="([^"]*)"/.exec(text)?.[1], String(first.port)];
    const samples = parseExposition(text);
    return [first, second].map(({ host }) =>
      valueOf(samples, name, { store: store ?? "", host: `${host}:${port}` }),
    );
  };
  /** What the log says of the host in use. */
  const changes = () =>
    serve
      .log()
      .split("\n")
      .filter((line) => line.includes(" store-host "));

  /** Resolves when logins that came after now are in the server's table. */
  const goesInto = async (server: DatabaseServer) => {
    const then = await count(server);
    await waitUntil(`logins to go into ${server.host}`, async () => (await count(server)) > then);
  };

  it("the first takes the logins, and is asked", async () => {
    await goesInto(first);
    assert.equal(await count(second), 1);
    assert.equal(await askPolicy(serve.policy, ONLY_IN_SECOND), "DUNNO");
    assert.deepEqual(await ofBoth("popbsmtp_store_host_up"), [1, undefined]);
    assert.deepEqual(await ofBoth("popbsmtp_store_host_current"), [1, 0]);
  });

  it("the second takes them once the first is gone", async () => {
    await first.stop();
    await goesInto(second);
    await waitUntil("logins to be committed while they wait, and not by way of the spool", () => {
      const last = load.made.at(-1);
      return (
        last !== undefined &&
        serve.log().includes(` user=${last.user} service=imap outcome=committed`)
      );
    });
  });

  it("the log says so once, with both names and the reason; the metrics show it", async () => {
    const [begun = "", changed = "", ...others] = changes();
    assert.match(begun, / info store-host store="pgsql .*" host=127\.0\.0\.1:\d+$/);
    assert.match(
      changed,
      / warning store-host store="pgsql .*" host=127\.0\.0\.2:\d+ from=127\.0\.0\.1:\d+ reason=".+"$/,
    );
    assert.deepEqual(others, []);
    assert.deepEqual(await ofBoth("popbsmtp_store_host_up"), [0, 1]);
    assert.deepEqual(await ofBoth("popbsmtp_store_host_current"), [0, 1]);
  });

  it("lookups are answered by the second, too", async () => {
    await waitUntil("the second to be asked", async () => {
      return (await askPolicy(serve.policy, ONLY_IN_SECOND)) === "OK";
    });
    assert.equal(await askPolicy(serve.policy, STRANGER), "DUNNO");
  });

  it("the second keeps them when the first is back, also over a new connection", async () => {
    await first.start();
    await goesInto(second);
    await second.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
    );
    await goesInto(second);
  });

  it("a reload goes on with the second, though the first is up", async () => {
    assert.match(await serve.reload(), /reloaded/);
    await goesInto(second);
    assert.deepEqual(await ofBoth("popbsmtp_store_host_current"), [0, 1]);
  });

  it("the first takes them again once the second is gone", async () => {
    await second.stop();
    await goesInto(first);
    await second.start();
  });

  it("no login has failed, and each is in one of the two with its own time", async () => {
    await load.stop();
    assert.deepEqual(load.failed, []);
    await waitUntil("the spool to be drained", () => box.waiting().length === 0);
    const rows: Row[] = [];
    for (const { host } of [first, second]) {
      useHosts(box, [host]);
      rows.push(...(await box.list()));
    }
    assertRecorded(load.made, rows);
  });
});

/** What Prometheus is told at a Unix socket. */
async function scrape(socketPath: string): Promise<string> {
  const request = get({ socketPath, path: "/metrics" });
  const [response] = await once(request, "response");
  assert.ok(response instanceof IncomingMessage);
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

async function count(server: DatabaseServer): Promise<number> {
  const [row] = await server.query("SELECT count(*)::int AS rows FROM popbsmtp");
  return Number(row?.["rows"]);
}
