/**
 * One database on several MariaDB hosts: a primary and its read-only replica, and the nodes of a
 * Galera cluster.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { StoreAwayError } from "../../src/lib/errors.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startGalera, type Galera } from "../support/galera.ts";
import { startMariadb } from "../support/mariadb.ts";
import { isWhole, nodeKilled, quorumLost, startGaleraSite } from "../support/mysql-trials.ts";
import { SMALL, trialTable } from "../support/trial.ts";
import { waitUntil } from "../support/wait-until.ts";
import { LIFETIME, serverConfig } from "./subject.ts";
import { soakDescribe } from "../support/soak.ts";

const address = parseAddress("192.0.2.1") ?? assert.fail();

async function authorize(store: Store, user: string): Promise<void> {
  const now = Date.now();
  await store.authorize([{ address, user, service: "imap", time: now }], now);
}

async function users(server: DatabaseServer): Promise<readonly unknown[]> {
  const rows = await server.query("SELECT user FROM popbsmtp ORDER BY user");
  return rows.map(({ user }) => user);
}

/** A store of these hosts, in this order. */
function openAt(servers: readonly DatabaseServer[]): Store & AsyncDisposable {
  const [first] = servers;
  assert.ok(first !== undefined);
  const hosts = servers.map(({ host }) => host);
  const store = openStore({ ...serverConfig("mysql", first), hosts }, { lifetime: LIFETIME });
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

/** The client's connections to a server, by their process ids. */
async function processes(server: DatabaseServer): Promise<readonly unknown[]> {
  const rows = await server.query(
    "SELECT id FROM information_schema.processlist WHERE user = 'popbsmtp'",
  );
  return rows.map(({ id }) => id);
}

describe("of a MariaDB primary and its read-only replica", () => {
  const stack = new AsyncDisposableStack();
  let primary: DatabaseServer;
  let replica: DatabaseServer;
  before(async () => {
    primary = stack.use(await startMariadb({ options: ["--server-id=1", "--log-bin"] }));
    await primary.query("CREATE USER copy@'%'; GRANT REPLICATION SLAVE ON *.* TO copy@'%'");
    await using installer = openAt([primary]);
    await installer.install();
    replica = stack.use(
      await startMariadb({
        host: "127.0.0.2",
        port: primary.port,
        options: ["--server-id=2", "--log-bin", "--read-only"],
        replicaOf: primary,
      }),
    );
    await waitUntil("the replica to have the table", async () => {
      const rows = await replica.query("SHOW TABLES LIKE 'popbsmtp'").catch(() => []);
      return rows.length > 0;
    });
  });
  after(() => stack.disposeAsync());

  it("the primary is used, though the replica is the first in the list", async () => {
    await using store = openAt([replica, primary]);
    await authorize(store, "ann");
    assert.ok((await users(primary)).includes("ann"));
    assert.equal((await store.lookup(address))?.user, "ann");
    assert.equal((await processes(replica)).length, 0);
  });

  it("the new primary is used after a switchover, by a connection that was open before", async () => {
    await using store = openAt([primary, replica]);
    await authorize(store, "bob");
    await waitUntil("the replica to have it", async () => (await users(replica)).includes("bob"));
    await primary.query("SET GLOBAL read_only = 1");
    await replica.query("STOP SLAVE; SET GLOBAL read_only = 0");
    try {
      await authorize(store, "eve");
      assert.ok((await users(replica)).includes("eve"));
      assert.ok(!(await users(primary)).includes("eve"));
    } finally {
      await primary.query("SET GLOBAL read_only = 0");
      await replica.query("SET GLOBAL read_only = 1");
    }
  });
});

/** The nodes that are left take no writes either until they have agreed on who they are. */
async function soon(store: Store, user: string): Promise<void> {
  const isCommitted = () =>
    authorize(store, user).then(
      () => true,
      () => false,
    );
  await waitUntil("a login to be committed", isCommitted, { timeout: 30_000 });
}

soakDescribe("of three Galera nodes", () => {
  let galera: Galera;
  let first: DatabaseServer;
  let second: DatabaseServer;
  before(async () => {
    galera = await startGalera();
    const [one, two] = galera.nodes;
    assert.ok(one !== undefined && two !== undefined);
    [first, second] = [one, two];
    await using installer = openAt([first]);
    await installer.install();
  });
  after(() => galera[Symbol.asyncDispose]());

  it("the next one is used when the one in use is cut off from the others", async () => {
    await using store = openAt([first, second]);
    await authorize(store, "ann");
    await first.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'");
    try {
      await waitUntil("it to be on its own", async () => {
        const rows = await first.query("SHOW STATUS LIKE 'wsrep_ready'");
        return rows[0]?.["Value"] === "OFF";
      });
      await soon(store, "bob");
      assert.deepEqual(await users(second), ["ann", "bob"]);
      await assert.rejects(async () => {
        await using alone = openAt([first]);
        await authorize(alone, "eve");
      }, StoreAwayError);
    } finally {
      await first.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'");
    }
    await waitUntil("it to be back", async () => {
      const rows = await first.query("SHOW STATUS LIKE 'wsrep_ready'");
      return rows[0]?.["Value"] === "ON";
    });
    await soon(store, "eve");
    assert.deepEqual(await users(second), ["ann", "bob", "eve"]);
  });

  it("the next one is used when the one in use hangs", async () => {
    await using store = openAt([first, second]);
    await authorize(store, "pat");
    first.pause();
    try {
      await soon(store, "sam");
      assert.ok((await users(second)).includes("sam"));
    } finally {
      first.resume();
    }
  });

  it("a daemon's logins go on when the node in use is killed, and after the quorum was lost", async (t) => {
    await isWhole(galera.nodes);
    await using site = await startGaleraSite(galera);
    const outcomes = [await nodeKilled(SMALL, site), await quorumLost(SMALL, site)];
    t.diagnostic(trialTable(outcomes));
  });

  it("purges on all of them at once and logins meanwhile all succeed", async () => {
    await isWhole(galera.nodes);
    await first.query(
      "INSERT INTO popbsmtp SELECT concat('old', seq), '', 'imap', '2020-01-01', '2020-01-01', 1 FROM seq_1_to_20000",
    );
    const done = new AbortController();
    const logins = (async () => {
      await using store = openAt([second]);
      let count = 0;
      while (!done.signal.aborted) await authorize(store, `user${String(count++)}`);
      return count;
    })();
    const purged = await Promise.all(
      galera.nodes.map(async (node) => {
        await using store = openAt([node]);
        return store.purge();
      }),
    );
    done.abort();
    assert.ok((await logins) > 0);
    assert.ok(purged.reduce((sum, rows) => sum + rows) >= 20_000);
    assert.equal(
      (await second.query("SELECT 1 FROM popbsmtp WHERE address LIKE 'old%'")).length,
      0,
    );
  });
});
