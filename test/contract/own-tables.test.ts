/**
 * Tables that an administrator had before popbsmtp came, with types and collations that popbsmtp
 * would not have chosen.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { RowRefusedError } from "../../src/lib/errors.ts";
import type { Login } from "../../src/login/login.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { serverSubject, sqliteSubject, twoColumns, type Mapped, type Subject } from "./subject.ts";

let postgres: DatabaseServer;
let mariadb: DatabaseServer;
let directory: TemporaryDirectory;
before(async () => {
  directory = temporaryDirectory();
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
  await postgres.query("ALTER DATABASE mail SET timezone TO 'Europe/Berlin'");
  await postgres.query(
    "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
  );
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
  await mariadb[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const columns = { ...twoColumns("address", "last_seen"), user: "who" };

const loose: Record<string, () => Promise<Subject>> = {
  "pgsql, nondeterministic": () =>
    serverSubject("pgsql", postgres, table("text COLLATE nocase", "timestamptz")),
  "mysql, utf8mb4_general_ci": () =>
    serverSubject("mysql", mariadb, table("varchar(255) COLLATE utf8mb4_general_ci", "datetime")),
  "mysql, latin1": () =>
    serverSubject("mysql", mariadb, table("varchar(255) CHARACTER SET latin1", "datetime")),
  "sqlite, NOCASE": () =>
    Promise.resolve(sqliteSubject(directory.path, table("text COLLATE NOCASE", "text"))),
};

function table(user: string, time: string): Mapped {
  return {
    columns,
    create: (name) =>
      `CREATE TABLE ${name} (address varchar(45), who ${user}, last_seen ${time}, PRIMARY KEY (address, who))`,
  };
}

for (const [what, fresh] of Object.entries(loose)) {
  describe(`users that the table's collation takes for one (${what})`, () => {
    it("are told apart by a revocation, at different addresses", () =>
      withStore(fresh, async (store) => {
        await record(store, login("192.0.2.1", "böb"));
        await record(store, login("192.0.2.2", "BöB"));
        assert.equal(await store.revoke({ user: "Böb" }), 0);
        assert.equal(await store.revoke({ user: "böb" }), 1);
        assert.deepEqual(await users(store), ["BöB"]);
      }));

    it("are a caveat", () =>
      withStore(fresh, async (store, { config }) => {
        const [caveat, ...others] = (await store.caveats?.()) ?? [];
        assert.equal(others.length, 0);
        assert.match(
          caveat?.text ?? "",
          new RegExp(`^${config.table}\\.who does not tell all users apart`),
        );
        assert.match(caveat?.remedy ?? "", /who/);
      }));

    it("share a row at one address, which is the later login's", () =>
      withStore(fresh, async (store) => {
        await record(store, login("192.0.2.1", "bob", 3_000));
        await record(store, login("192.0.2.1", "BOB", 1_000));
        assert.deepEqual(await users(store), ["BOB"]);
        await record(store, login("192.0.2.1", "bob", 2_000));
        assert.deepEqual(await users(store), ["BOB"]);
        assert.equal(await store.revoke({ user: "bob" }), 0);
        assert.equal(await store.revoke({ user: "BOB" }), 1);
      }));

    it("do not take the store away where one batch names both", () =>
      withStore(fresh, async (store) => {
        const both = [login("192.0.2.1", "BOB", 2_000), login("192.0.2.1", "bob", 1_000)];
        try {
          await record(store, ...both);
        } catch (error) {
          // smaller batches are tried then
          assert.ok(error instanceof RowRefusedError);
          for (const each of both) await record(store, each);
        }
        assert.deepEqual(await users(store), ["bob"]);
      }));
  });
}

describe("the wiki's auth(host, accessed) in a zone with summer time", () => {
  /**
   * From the last Saturday of October 2025, UTC, to Sunday noon: an hour in it occurs twice in
   * Berlin.
   */
  const [from, to, twice] = [
    Date.UTC(2025, 9, 25, 22),
    Date.UTC(2025, 9, 26, 12),
    Date.UTC(2025, 9, 26, 0),
  ];
  const HOUR = 3_600_000;

  for (const type of ["timestamp", "timestamptz"]) {
    for (const key of ["PRIMARY KEY", ""]) {
      it(`keeps every time as it is, or an hour early where a ${type} would make it later (${key || "no key"})`, () => {
        const mapped = {
          columns: twoColumns("host", "accessed"),
          create: (name: string) => `CREATE TABLE ${name} (host text ${key}, accessed ${type})`,
        };
        return withStore(
          () => serverSubject("pgsql", postgres, mapped),
          async (store, { sql, config }) => {
            const times = Array.from(
              { length: ((to - from) / HOUR) * 4 },
              (_, quarter) => from + quarter * (HOUR / 4),
            );
            const now = Date.now();
            await store.authorize(
              times.map((time, index) => ({ ...login(`192.0.2.${String(index)}`, "bob"), time })),
              now,
            );
            const rows = await sql(
              // as Postfix's map query compares it: a plain timestamp in its session's zone
              `SELECT host, (extract(epoch FROM accessed::timestamptz) * 1000)::float8 AS ms FROM ${config.table}`,
            );
            const seen = new Map(rows.map(({ host, ms }) => [host, Number(ms)]));
            for (const [index, time] of times.entries()) {
              const isAmbiguous = type === "timestamp" && time >= twice && time < twice + HOUR;
              assert.equal(
                seen.get(`192.0.2.${String(index)}`),
                isAmbiguous ? time - HOUR : time,
                new Date(time).toISOString(),
              );
            }
          },
        );
      });
    }
  }
});

describe("caveats", () => {
  const wiki = (type: string) => () =>
    serverSubject("pgsql", postgres, {
      columns: twoColumns("host", "accessed"),
      create: (name) => `CREATE TABLE ${name} (host text PRIMARY KEY, accessed ${type})`,
    });

  it("name a PostgreSQL column of local time in a zone with summer time, and the statement that mends it", () =>
    withStore(wiki("timestamp"), async (store, { config, sql }) => {
      const [caveat, ...others] = (await store.caveats?.()) ?? [];
      assert.equal(others.length, 0);
      assert.match(caveat?.text ?? "", /accessed holds local time \(Europe\/Berlin\)/);
      const now = Date.now();
      await store.authorize([login("192.0.2.1", "bob")], now);
      assert.equal(
        caveat?.remedy,
        `ALTER TABLE "${config.table}" ALTER "accessed" TYPE timestamptz`,
      );
      await sql(caveat?.remedy ?? "");
      assert.deepEqual(await store.caveats?.(), []);
      assert.ok(Math.abs(((await store.list())[0]?.lastSeen.getTime() ?? 0) - now) < 1_000);
      await store.authorize([login("192.0.2.1", "bob")], now);
      assert.equal((await store.list()).length, 1);
    }));

  it("are none in a zone without", async () => {
    await postgres.query("ALTER DATABASE mail SET timezone TO 'UTC'");
    try {
      await withStore(wiki("timestamp"), async (store) => {
        assert.deepEqual(await store.caveats?.(), []);
      });
    } finally {
      await postgres.query("ALTER DATABASE mail SET timezone TO 'Europe/Berlin'");
    }
  });

  it("name a MySQL column that every session sees in its own zone", () =>
    withStore(
      () => serverSubject("mysql", mariadb, table("varbinary(255)", "timestamp")),
      async (store, { sql }) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", "bob")], now);
        const [caveat, ...others] = (await store.caveats?.()) ?? [];
        assert.equal(others.length, 0);
        assert.match(caveat?.text ?? "", /last_seen is a timestamp/);
        await sql(caveat?.remedy ?? "");
        assert.deepEqual(await store.caveats?.(), []);
        assert.ok(Math.abs(((await store.list())[0]?.lastSeen.getTime() ?? 0) - now) < 1_500);
        assert.deepEqual(await users(store), ["bob"]);
      },
    ));

  it("are none of popbsmtp's own tables", async () => {
    for (const fresh of [
      () => serverSubject("pgsql", postgres),
      () => serverSubject("mysql", mariadb),
      () => Promise.resolve(sqliteSubject(directory.path)),
    ]) {
      await withStore(fresh, async (store) => {
        await store.install();
        assert.deepEqual(await store.caveats?.(), []);
      });
    }
  });
});

async function withStore(
  fresh: () => Promise<Subject>,
  test: (store: Store, subject: Subject) => Promise<void>,
): Promise<void> {
  const subject = await fresh();
  const store = subject.open();
  try {
    await test(store, subject);
  } finally {
    await store.close();
  }
}

function login(from: string, user: string, age = 0): Login {
  const address = parseAddress(from);
  assert.ok(address !== undefined);
  return { address, user, service: "imap", time: Date.now() - age };
}

function record(store: Store, ...batch: readonly Login[]): Promise<void> {
  return store.authorize(batch, Date.now());
}

async function users(store: Store): Promise<readonly (string | undefined)[]> {
  return (await store.list()).map(({ user }) => user);
}
