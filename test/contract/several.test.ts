/**
 * Several stores as one: with all of them there the same as any, and each with an outcome of its
 * own where one is not.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseAddress, type Address } from "../../src/login/address.ts";
import type { Config, StoreConfig } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/reading/load.ts";
import { PartlyAwayError, RowRefusedError, StoreAwayError } from "../../src/lib/errors.ts";
import type { Login } from "../../src/login/login.ts";
import { drainAllOnce } from "../../src/drain/drains.ts";
import { openWriters, type OpenStoresOptions } from "../../src/writers/open-stores.ts";
import { alone, withOwnSpool } from "../../src/writers/store-spools.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { waitUntil } from "../support/wait-until.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { openAll } from "./all-stores.ts";
import { storeContract } from "./store-contract.ts";
import { LIFETIME, serverSubject, sqliteSubject } from "./subject.ts";

let directory: TemporaryDirectory;
let pgsql: DatabaseServer;
let mysql: DatabaseServer;
let defaults: Config;
before(async () => {
  directory = temporaryDirectory();
  defaults = await loadConfig(undefined, join(directory.path, "no.toml"));
  [pgsql, mysql] = await Promise.all([startPostgres(), startMariadb()]);
});
after(async () => {
  await Promise.all([pgsql[Symbol.asyncDispose](), mysql[Symbol.asyncDispose]()]);
  await directory[Symbol.asyncDispose]();
});

function configure(spool: string, stores: Config["stores"]): Config {
  return { ...defaults, lifetime: LIFETIME, spool, stores };
}

/** The configuration with other stores in it. */
function withStores(config: Config, [first, ...others]: readonly StoreConfig[]): Config {
  assert.ok(first !== undefined);
  return { ...config, stores: [first, ...others] };
}

describe("several stores", () => {
  storeContract(
    () => {
      const [one, other] = [sqliteSubject(directory.path), sqliteSubject(directory.path)];
      const { path: spool } = temporaryDirectory();
      const config = configure(spool, [one.config, other.config]);
      return Promise.resolve({
        ...one,
        open: () => openAll(config),
        shift: async (which: string, seconds: number) => {
          await one.shift(which, seconds);
          await other.shift(which, seconds);
        },
      });
    },
    { full: true, grain: 1 },
  );
});

/** PostgreSQL, MariaDB and SQLite, each with a table that nobody else uses. */
class Three implements AsyncDisposable {
  readonly config: Config;
  readonly #handles: Store[] = [];
  readonly #spool = temporaryDirectory();

  private constructor(stores: Config["stores"]) {
    this.config = configure(this.#spool.path, stores);
  }

  static async create(): Promise<Three> {
    const one = await serverSubject("pgsql", pgsql);
    const two = await serverSubject("mysql", mysql);
    const three = new Three([one.config, two.config, sqliteSubject(directory.path).config]);
    await three.open().install();
    return three;
  }

  open(options?: OpenStoresOptions, config = this.config): Store {
    const store = openAll(config, options);
    this.#handles.push(store);
    return store;
  }

  /** The users that each store has, past what is in front of it. */
  async users(): Promise<readonly (readonly string[])[]> {
    const all = eachAlone(this.config).map(async (one) => {
      const rows = await this.open({}, one).list({ all: true });
      return rows.map(({ user = "" }) => user).toSorted((a, b) => (a < b ? -1 : 1));
    });
    return Promise.all(all);
  }

  /** How many logins wait for each store. */
  waiting(): readonly number[] {
    return eachAlone(this.config).map(({ spool }) => logins(spool).length);
  }

  async drain(config = this.config): Promise<void> {
    const writers = openWriters(config, { now: Date.now });
    try {
      await drainAllOnce(config, writers, { report: () => undefined });
    } finally {
      await writers.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((store) => store.close()));
    await this.#spool[Symbol.asyncDispose]();
  }
}

/** The configuration as each of the stores sees it. */
function eachAlone(config: Config): readonly Config[] {
  return config.stores.map((store) => alone(config, store));
}

function logins(spool: string): readonly string[] {
  return existsSync(spool) ? readdirSync(spool).filter((name) => /^\d/.test(name)) : [];
}

const ALICE = address("192.0.2.1");

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

function login(user: string, time = Date.now()): Login {
  return { address: ALICE, user, service: "imap", time };
}

/** Stops a server while `work` goes on. */
async function without(server: DatabaseServer, work: () => Promise<void>): Promise<void> {
  await server.stop();
  try {
    await work();
  } finally {
    await server.start();
  }
}

/** Lets a server hang while `work` goes on. */
async function hanging(server: DatabaseServer, work: () => Promise<void>): Promise<void> {
  server.pause();
  try {
    await work();
  } finally {
    server.resume();
  }
}

/**
 * Asks PostgreSQL for as long as it takes; the function returned says whether it is still without
 * an answer.
 */
function stillAsking(three: Three): () => boolean {
  let asking = true;
  const [one] = eachAlone(three.config);
  assert.ok(one !== undefined);
  void three
    .open({}, one)
    .lookup(ALICE)
    .catch(() => undefined)
    .finally(() => {
      asking = false;
    });
  return () => asking;
}

describe("a login", () => {
  it("is in all of them", async () => {
    await using three = await Three.create();
    await three.open().authorize([login("ann")], Date.now());
    assert.deepEqual(await three.users(), [["ann"], ["ann"], ["ann"]]);
    assert.deepEqual(three.waiting(), [0, 0, 0]);
  });

  for (const driver of ["pgsql", "mysql"] as const) {
    for (const [fault, how] of [
      ["is stopped", without],
      ["hangs", hanging],
    ] as const) {
      it(`is in the others while ${driver} ${fault}, and in that one with its own time once it is drained`, async () => {
        await using three = await Three.create();
        const store = three.open({ hurry: true });
        const which = driver === "pgsql" ? 0 : 1;
        const times = [
          ["ann", Date.now() - 300_000],
          ["bob", Date.now() - 600_000],
        ] as const;
        // connected at first, as a daemon is
        await store.authorize([login("eve")], Date.now());
        await how(driver === "pgsql" ? pgsql : mysql, async () => {
          for (const [user, time] of times) await store.authorize([login(user, time)], Date.now());
          // and the first one, if connecting took long
          assert.ok((three.waiting()[which] ?? 0) >= times.length);
        });
        await three.drain();
        assert.deepEqual(three.waiting(), [0, 0, 0]);
        for (const one of eachAlone(three.config)) {
          const [eve, ...others] = await three.open({}, one).list();
          assert.equal(eve?.user, "eve");
          assert.deepEqual(
            others.map(({ user, lastSeen, logins: count }) => [user, lastSeen.getTime(), count]),
            times.map(([user, time]) => [user, time, 1]),
          );
        }
      });
    }
  }

  it("waits for none that hangs where somebody waits for it", async () => {
    await using three = await Three.create();
    const store = three.open({ hurry: true });
    await hanging(pgsql, async () => {
      const patient = stillAsking(three);
      await store.authorize([login("ann")], Date.now());
      await store.authorize([login("bob")], Date.now());
      assert.ok(patient());
    });
  });

  it("that comes again, after a crash, waits once", async () => {
    await using three = await Three.create();
    const store = three.open({ hurry: true });
    await without(pgsql, async () => {
      const one = login("ann");
      await store.authorize([one], Date.now());
      await store.authorize([one, { ...one, user: "bob" }], Date.now());
    });
    assert.equal(three.waiting()[0], 2);
    await three.drain();
    const counted = await Promise.all(
      eachAlone(three.config).map((one) => three.open({}, one).list()),
    );
    for (const rows of counted)
      assert.deepEqual(
        rows.map((row) => row.logins),
        [1, 1],
      );
  });

  it("is in none, and waits for none, when all are away; then one of them is enough", async () => {
    await using three = await Three.create();
    const sqlite = three.config.stores[2];
    assert.ok(sqlite !== undefined);
    const config = withStores(three.config, three.config.stores.slice(0, 2));
    const store = three.open({ hurry: true }, config);
    await without(mysql, async () => {
      await without(pgsql, async () => {
        await assert.rejects(store.authorize([login("ann")], Date.now()), (error: unknown) => {
          assert.ok(error instanceof StoreAwayError);
          assert.match(error.message, /pgsql .*; store: mysql /);
          return true;
        });
        assert.deepEqual(three.waiting(), [0, 0, 0]);
      });
      await store.authorize([login("ann")], Date.now());
      assert.deepEqual(three.waiting(), [0, 1, 0]);
    });
    // MySQL is still taken to be away, but there is nobody else
    await without(pgsql, () => store.authorize([login("bob")], Date.now()));
    assert.deepEqual((await three.users())[1], ["bob"]);
  });

  /** A user whom PostgreSQL does not take, and the others do. */
  const MALLORY = "mallory";
  const refuse = async ({ config }: Three) => {
    const [store] = config.stores;
    assert.ok(store?.driver === "pgsql");
    await pgsql.query(`ALTER TABLE ${store.table} ADD CHECK ("user" <> '${MALLORY}')`);
  };

  it("that one of them refuses does not hold up the others of its batch", async () => {
    await using three = await Three.create();
    await refuse(three);
    const bad = login(MALLORY);
    await three.open().authorize([login("ann"), bad, login("bob")], Date.now());
    await three.drain();
    const [first, , third] = await three.users();
    assert.deepEqual(first, ["ann", "bob"]);
    assert.equal(third?.length, 3);
  });

  it("that one store refuses for good waits for those that are away", async () => {
    await using three = await Three.create();
    const config = withStores(three.config, three.config.stores.slice(0, 2));
    const store = three.open({}, config);
    await refuse(three);
    const bad = login(MALLORY);
    await without(mysql, async () => {
      await assert.rejects(store.authorize([login("ann"), bad], Date.now()), RowRefusedError);
      assert.deepEqual(three.waiting(), [0, 0, 0]);
      await store.authorize([bad], Date.now());
      assert.deepEqual(three.waiting(), [1, 1, 0]);
    });
    await three.drain(config);
    const [refusing] = eachAlone(config);
    assert.ok(refusing !== undefined);
    const [why = ""] = readdirSync(join(refusing.spool, "bad")).filter((name) =>
      name.endsWith(".why"),
    );
    assert.match(
      readFileSync(join(refusing.spool, "bad", why), "utf8"),
      /pgsql .*check constraint/,
    );
    assert.deepEqual((await three.users())[1], [bad.user]);
  });

  it("that waits for a store which has left the configuration goes to those that are in it", async () => {
    await using three = await Three.create();
    await without(pgsql, async () => {
      await three.open({ hurry: true }).authorize([login("ann")], Date.now());
      const moved = three.config.stores.map((store) =>
        store.driver === "pgsql" ? { ...store, hosts: ["db.invalid", ...store.hosts] } : store,
      );
      const single = withStores(three.config, three.config.stores.slice(2));
      assert.deepEqual(withOwnSpool(single), []);
      assert.notDeepEqual(
        eachAlone(withStores(three.config, moved)).map(({ spool }) => spool),
        eachAlone(three.config).map(({ spool }) => spool),
      );
      await three.drain(single);
      assert.deepEqual(three.waiting(), [0, 0, 0]);
    });
    assert.deepEqual((await three.users())[2], ["ann"]);
  });
});

describe("a lookup", () => {
  for (const hurry of [true, false]) {
    it(`finds what any of them has${hurry ? ", while somebody waits" : ""}`, async () => {
      await using three = await Three.create();
      const [, , last] = eachAlone(three.config);
      assert.ok(last !== undefined);
      await three.open({}, last).authorize([login("ann")], Date.now());
      const store = three.open({ hurry });
      assert.equal((await store.lookup(ALICE))?.user, "ann");
      await waitUntil("all of them to say that they do not know an address", async () => {
        // one that is slow just now is as good as away
        const found = await store.lookup(address("192.0.2.2")).catch(() => "away");
        return found === undefined;
      });
      await without(pgsql, async () => {
        assert.equal((await store.lookup(ALICE))?.user, "ann");
        await assert.rejects(store.lookup(address("192.0.2.2")), PartlyAwayError);
      });
    });
  }

  it("waits for none that hangs where somebody waits for it", async () => {
    await using three = await Three.create();
    const store = three.open({ hurry: true });
    await store.authorize([login("ann")], Date.now());
    await hanging(pgsql, async () => {
      const patient = stillAsking(three);
      assert.equal((await store.lookup(ALICE))?.user, "ann");
      await assert.rejects(store.lookup(address("192.0.2.2")), PartlyAwayError);
      assert.equal((await store.lookup(ALICE))?.user, "ann");
      assert.ok(patient());
    });
  });

  it("says that the store is away when all are", async () => {
    await using three = await Three.create();
    const config = withStores(three.config, three.config.stores.slice(0, 2));
    const store = three.open({}, config);
    await without(mysql, () =>
      without(pgsql, () =>
        assert.rejects(store.lookup(ALICE), { name: "StoreAwayError", exitStatus: 75 }),
      ),
    );
  });
});

describe("with one of them away", () => {
  it("the list is what the others have, and the one is named", async () => {
    await using three = await Three.create();
    const told: string[] = [];
    const store = three.open({ report: (line) => told.push(line) });
    await store.authorize([login("ann")], Date.now());
    await without(mysql, async () => {
      assert.deepEqual(
        (await store.list()).map(({ user }) => user),
        ["ann"],
      );
    });
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /^store: mysql .*: .*; its authorizations are not in this list$/);
  });

  it("an authorization is ended in the others, which is said, and the one is named", async () => {
    await using three = await Three.create();
    const store = three.open();
    await store.authorize([login("ann")], Date.now());
    await without(mysql, () =>
      assert.rejects(store.revoke({ address: ALICE }), {
        name: "StoreAwayError",
        message: /^store: mysql .*; the other stores have done it$/,
      }),
    );
    assert.deepEqual(await three.users(), [[], ["ann"], []]);
    assert.equal(await store.revoke({ address: ALICE }), 1);
    assert.deepEqual(await three.users(), [[], [], []]);
  });

  it("what expired is purged in the others", async () => {
    await using three = await Three.create();
    const store = three.open();
    await store.authorize([login("ann", Date.now() - LIFETIME - 1_000)], Date.now());
    await without(pgsql, () => assert.rejects(store.purge(), StoreAwayError));
    assert.deepEqual(await three.users(), [["ann"], [], []]);
  });
});
