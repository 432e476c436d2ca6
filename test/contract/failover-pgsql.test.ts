/**
 * One database on two PostgreSQL hosts, a primary and its streaming standby, through whatever
 * befalls them.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import type { ServerStoreConfig } from "../../src/config/config.ts";
import { FailoverStore } from "../../src/stores/server/failover-store.ts";
import { Hosts } from "../../src/stores/server/hosts.ts";
import { LateCommits } from "../../src/stores/server/late-commits.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startDelayProxy } from "../support/delay-proxy.ts";
import { startPgbouncer } from "../support/pgbouncer.ts";
import { startPostgres } from "../support/postgres.ts";
import { waitUntil } from "../support/wait-until.ts";
import { LIFETIME, serverConfig } from "./subject.ts";

const [address] = [parseAddress("192.0.2.1") ?? assert.fail()];

/** A primary and its standby, and a store whose list of hosts begins with the standby. */
class Cluster implements AsyncDisposable {
  readonly primary: DatabaseServer;
  readonly standby: DatabaseServer;
  readonly store: Store;
  readonly config: ServerStoreConfig;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    primary: DatabaseServer,
    standby: DatabaseServer,
    stack: AsyncDisposableStack,
  ) {
    this.primary = primary;
    this.standby = standby;
    this.#stack = stack;
    this.config = { ...serverConfig("pgsql", primary), hosts: [standby.host, primary.host] };
    this.store = this.open(this.config);
  }

  static async start(): Promise<Cluster> {
    await using stack = new AsyncDisposableStack();
    const primary = stack.use(await startPostgres());
    const installer = openStore(serverConfig("pgsql", primary), { lifetime: LIFETIME });
    await installer.install();
    await installer.close();
    const standby = stack.use(
      await startPostgres({ host: "127.0.0.2", port: primary.port, standbyOf: primary }),
    );
    return new Cluster(primary, standby, stack.move());
  }

  /** Another handle, as another daemon has it. */
  open(config = { ...this.config }): Store {
    const store = openStore(config, { lifetime: LIFETIME });
    this.#stack.defer(() => store.close());
    return store;
  }

  async promote(): Promise<void> {
    await this.standby.query("SELECT pg_promote()");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function authorize(store: Store, user: string): Promise<void> {
  const now = Date.now();
  await store.authorize([{ address, user, service: "imap", time: now }], now);
}

async function users(server: DatabaseServer): Promise<readonly unknown[]> {
  const rows = await server.query('SELECT "user" FROM popbsmtp ORDER BY "user"');
  return rows.map(({ user }) => user);
}

describe("of a PostgreSQL primary and its standby", () => {
  it("the primary is used, though the standby is the first in the list", async () => {
    await using cluster = await Cluster.start();
    await authorize(cluster.store, "ann");
    assert.deepEqual(await users(cluster.primary), ["ann"]);
    assert.equal((await cluster.store.lookup(address))?.user, "ann");
  });

  it("the standby is used once it is promoted, by a store that was idle meanwhile", async () => {
    await using cluster = await Cluster.start();
    await authorize(cluster.store, "ann");
    await waitUntil(
      "the standby to have it",
      async () => (await users(cluster.standby)).length > 0,
    );
    await cluster.primary.stop();
    await cluster.promote();
    await authorize(cluster.store, "bob");
    assert.deepEqual(await users(cluster.standby), ["ann", "bob"]);
  });

  it("the promoted standby is used while the old primary hangs", async () => {
    await using cluster = await Cluster.start();
    await authorize(cluster.store, "ann");
    cluster.primary.pause();
    try {
      await cluster.promote();
      await authorize(cluster.store, "bob");
      assert.ok((await users(cluster.standby)).includes("bob"));
    } finally {
      cluster.primary.resume();
    }
  });

  it("the promoted standby is kept to when the old primary is back and takes writes too", async () => {
    await using cluster = await Cluster.start();
    await authorize(cluster.store, "ann");
    await cluster.primary.stop();
    await cluster.promote();
    await authorize(cluster.store, "bob");
    await cluster.primary.start();
    await cluster.standby.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
    );
    await authorize(cluster.store, "eve");
    assert.ok((await users(cluster.standby)).includes("eve"));
    assert.ok(!(await users(cluster.primary)).includes("eve"));
  });

  it("the old primary is left when it becomes read-only under an open connection", async () => {
    await using cluster = await Cluster.start();
    await authorize(cluster.store, "ann");
    await cluster.primary.query("ALTER SYSTEM SET default_transaction_read_only = on");
    await cluster.primary.query("SELECT pg_reload_conf()");
    await cluster.promote();
    await waitUntil("the new primary to be used", async () => {
      await authorize(cluster.store, "bob");
      return (await users(cluster.standby)).includes("bob");
    });
  });

  it("what the promoted standby has not received is written to it again, but not what was revoked", async () => {
    await using cluster = await Cluster.start();
    const { primary, standby, config } = cluster;
    const store = new FailoverStore(cluster.store, LateCommits.of(Hosts.of(config)));
    await authorize(store, "ann");
    await authorize(store, "bob");
    await store.revoke({ user: "ann" });
    await waitUntil("the standby to know that", async () => {
      const rows = await standby.query("SELECT 1 FROM popbsmtp_revocations");
      return rows.length > 0 && (await users(standby)).join() === "bob";
    });
    await standby.query("ALTER SYSTEM SET primary_conninfo = ''");
    await standby.query("SELECT pg_reload_conf()");
    await waitUntil("the standby to receive nothing", async () => {
      const rows = await primary.query("SELECT 1 FROM pg_stat_replication");
      return rows.length === 0;
    });
    const late = parseAddress("192.0.2.2") ?? assert.fail();
    const now = Date.now();
    await store.authorize([{ address: late, user: "eve", service: "imap", time: now }], now);
    await primary.stop();
    await cluster.promote();
    assert.equal((await store.lookup(late))?.user, "eve");
    assert.deepEqual(await users(standby), ["bob", "eve"]);
  });

  it("the message names each with its reason where none takes writes", async () => {
    await using cluster = await Cluster.start();
    await cluster.primary.stop();
    await assert.rejects(
      authorize(cluster.open(), "ann"),
      /127\.0\.0\.2:\d+\/mail: takes no writes \(a standby\); 127\.0\.0\.1:\d+\/mail: .*ECONNREFUSED/,
    );
  });
});

describe("a PostgreSQL server", () => {
  it("is told to give up a statement that waits too long, and keeps no connection for it", async () => {
    await using server = await startPostgres();
    const config = serverConfig("pgsql", server);
    const store = openStore(config, { lifetime: LIFETIME });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => store.close());
    await store.install();
    const release = stack.use(await lockTable(server));
    await assert.rejects(authorize(store, "ann"), /lock timeout|no answer/);
    await waitUntil("no statement to be left", async () => {
      const rows = await server.query(
        "SELECT 1 FROM pg_stat_activity WHERE usename = 'popbsmtp' AND state = 'active'",
      );
      return rows.length === 0;
    });
    await release[Symbol.asyncDispose]();
    await authorize(store, "ann");
  });

  it("is asked again on a fresh connection where the one there was has been cut", async () => {
    await using server = await startPostgres();
    const store = openStore(serverConfig("pgsql", server), { lifetime: LIFETIME });
    await store.install();
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
    );
    await authorize(store, "ann");
    await store.close();
  });
});

describe("a connection", () => {
  it("that a firewall has forgotten is noticed, and the login committed on a fresh one", async () => {
    await using server = await startPostgres();
    await using firewall = await startDelayProxy(server.port);
    const { host, port } = firewall;
    const config = { ...serverConfig("pgsql", server), hosts: [host], port };
    const store = openStore(config, { lifetime: LIFETIME });
    await store.install();
    firewall.forget();
    await authorize(store, "ann");
    assert.deepEqual(await users(server), ["ann"]);
    await store.close();
  });

  it("through pgbouncer in transaction mode needs no prepared statements", async () => {
    await using server = await startPostgres();
    const installer = openStore(serverConfig("pgsql", server), { lifetime: LIFETIME });
    await installer.install();
    await installer.close();
    await using pooler = await startPgbouncer(server);
    const config = { ...serverConfig("pgsql", server), hosts: [pooler.host], port: pooler.port };
    const stores = Array.from({ length: 4 }, () => openStore(config, { lifetime: LIFETIME }));
    // several clients at a time, each on whichever of the server's connections is free
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        stores.map(async (store, number) => {
          await authorize(store, `user${String(number)}`);
          assert.ok((await store.lookup(address)) !== undefined);
        }),
      );
    }
    assert.equal((await users(server)).length, 4);
    await Promise.all(stores.map((store) => store.close()));
  });
});

/** Holds a lock on the table, in a session of its own, until it is disposed of. */
async function lockTable(server: DatabaseServer): Promise<AsyncDisposable> {
  const done = server.query("BEGIN; LOCK TABLE popbsmtp; SELECT pg_sleep(60)").catch(() => []);
  await waitUntil("the table to be locked", async () => {
    const rows = await server.query(
      "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'popbsmtp'::regclass",
    );
    return rows.length > 0;
  });
  return {
    [Symbol.asyncDispose]: async () => {
      await server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
      );
      await done;
    },
  };
}
