import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "pg";
import { parseAddress } from "../../src/login/address.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startPostgres } from "../support/postgres.ts";
import { waitUntil } from "../support/wait-until.ts";
import { storeContract } from "./store-contract.ts";
import { LIFETIME, serverSubject, twoColumns } from "./subject.ts";

let server: DatabaseServer;
before(async () => {
  server = await startPostgres();
  // no zone that anybody would guess
  await server.query("ALTER DATABASE mail SET timezone TO 'America/St_Johns'");
});
after(() => server[Symbol.asyncDispose]());

describe("pgsql", () => {
  storeContract(() => serverSubject("pgsql", server), { full: true, grain: 1 });
});

for (const type of ["timestamptz", "timestamp"]) {
  for (const key of ["PRIMARY KEY", ""]) {
    describe(`pgsql, the wiki's auth(host text ${key}, accessed ${type})`, () => {
      const mapped = {
        columns: twoColumns("host", "accessed"),
        create: (table: string) => `CREATE TABLE ${table} (host text ${key}, accessed ${type})`,
      };
      storeContract(() => serverSubject("pgsql", server, mapped), { full: false, grain: 1 });
    });
  }
}

it("a purge looks again at a row that was renewed while it waited for it", async () => {
  const { config, open } = await serverSubject("pgsql", server);
  const store = open();
  const { host, port, user, password, database } = server;
  const renewal = new Client({ host, port, user, password, database });
  await renewal.connect();
  try {
    await store.install();
    const address = parseAddress("192.0.2.1");
    assert.ok(address !== undefined);
    const now = Date.now();
    const login = { address, user: "bob", service: "imap", time: now - LIFETIME - 5_000 };
    await store.authorize([login], now);
    await renewal.query(`BEGIN; UPDATE ${config.table} SET last_seen = now()`);
    const purged = store.purge();
    await waitUntil(
      "the purge to wait",
      async () => {
        const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        return (await renewal.query(waiting)).rows.length > 0;
      },
      { interval: 1 },
    );
    await renewal.query("COMMIT");
    assert.equal(await purged, 0);
    assert.equal((await store.list()).length, 1);
  } finally {
    await renewal.end();
    await store.close();
  }
});
