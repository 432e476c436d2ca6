/** Two PostgreSQL servers in `host`, each with tables of its own: what a login became is in the one that was there. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { install, type Installation, type Row } from "../support/installation.ts";
import { assertRecorded, startLoad, type Load } from "../support/post-login-load.ts";
import { startPostgres } from "../support/postgres.ts";
import { askPolicy, startServe, type Serve } from "../support/serve.ts";
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
    serve = stack.use(await startServe(box));
    load = stack.use(startLoad(serve.imap));
  });
  after(() => stack.disposeAsync());

  /** Resolves when logins that came after now are in the server's table. */
  const goesInto = async (server: DatabaseServer) => {
    const then = await count(server);
    await waitUntil(`logins to go into ${server.host}`, async () => (await count(server)) > then);
  };

  it("the first takes the logins, and is asked", async () => {
    await goesInto(first);
    assert.equal(await count(second), 1);
    assert.equal(await askPolicy(serve.policy, ONLY_IN_SECOND), "DUNNO");
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
      rows.push(...(await box.rows()));
    }
    assertRecorded(load.made, rows);
  });
});

function useHosts({ config }: Installation, hosts: readonly string[]): void {
  const text = readFileSync(config, "utf8");
  writeFileSync(config, text.replace(/^host = .*/m, `host = ${JSON.stringify(hosts)}`));
}

async function count(server: DatabaseServer): Promise<number> {
  const [row] = await server.query("SELECT count(*)::int AS rows FROM popbsmtp");
  return Number(row?.["rows"]);
}
