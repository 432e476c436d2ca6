import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import mysql from "mysql2/promise";
import { parseAddress } from "../../src/login/address.ts";
import type { TableStoreConfig } from "../../src/config/config.ts";
import { StoreAwayError } from "../../src/lib/errors.ts";
import { SCHEMA_VERSION, schemaText } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { runOk } from "../support/run.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { serverSubject, sqliteSubject, type Subject } from "./subject.ts";

let postgres: DatabaseServer;
let mariadb: DatabaseServer;
let directory: TemporaryDirectory;
before(async () => {
  directory = temporaryDirectory();
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
  await postgres.query("ALTER DATABASE mail SET timezone TO 'America/St_Johns'");
  await mariadb.query("SET GLOBAL time_zone = '-03:30'");
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
  await mariadb[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

interface Kind {
  readonly fresh: () => Promise<Subject>;
  /** Feeds SQL to the database's own client, as `stdin`. */
  readonly client: (subject: Subject, sql: string) => Promise<string>;
  /** The definitions of a subject's tables, without their names. */
  readonly definitions: (subject: Subject) => Promise<unknown>;
  /** The time ten minutes ago as the wiki's recipe wrote it, and the type of its column. */
  readonly wiki: { readonly type: string; readonly time: string };
  readonly indexes: (subject: Subject) => Promise<number>;
}

const ENV = { PATH: process.env["PATH"] ?? "" };

const kinds: Record<string, Kind> = {
  pgsql: {
    fresh: () => serverSubject("pgsql", postgres),
    client: (_, stdin) => {
      const args = ["-X", "-q", "-h", postgres.socket, "-p", String(postgres.port)];
      return runOk("psql", [...args, "-v", "ON_ERROR_STOP=1", "-U", "popbsmtp", "mail"], {
        stdin,
        env: ENV,
      });
    },
    definitions: async ({ sql, config }) =>
      sql(
        `SELECT replace(table_name, '${config.table}', 't') AS t, column_name, data_type, is_nullable, ` +
          "(SELECT array_agg(replace(pg_get_indexdef(indexrelid), table_name, 't')) FROM pg_index " +
          "WHERE indrelid = to_regclass(table_name)) AS keys " +
          `FROM information_schema.columns WHERE table_name LIKE '${config.table}%' ORDER BY 1, ordinal_position`,
      ),
    wiki: { type: "timestamp", time: "now() - interval '10 minutes'" },
    indexes: async ({ sql, config }) =>
      (await sql(`SELECT 1 FROM pg_indexes WHERE indexname = '${config.table}_last_seen'`)).length,
  },
  mysql: {
    fresh: () => serverSubject("mysql", mariadb),
    client: (_, stdin) =>
      runOk("mariadb", ["--no-defaults", "-S", mariadb.socket, "-u", "root", "mail"], {
        stdin,
        env: ENV,
      }),
    definitions: async ({ sql, config }) => {
      const create = async (table: string) =>
        (await sql(`SHOW CREATE TABLE ${table}`)).map((row) => row["Create Table"]);
      const names = ["", "_schema", "_revocations"].map((suffix) => config.table + suffix);
      return JSON.stringify(await Promise.all(names.map(create))).replaceAll(config.table, "t");
    },
    // @@GLOBAL.time_zone's, as NOW() is
    wiki: { type: "datetime", time: "UTC_TIMESTAMP() - INTERVAL 220 MINUTE" },
    indexes: async ({ sql, config }) =>
      (await sql(`SHOW INDEX FROM ${config.table} WHERE key_name = 'last_seen'`)).length,
  },
  sqlite: {
    fresh: () => Promise.resolve(sqliteSubject(directory.path)),
    client: ({ config }, stdin) =>
      runOk("sqlite3", ["-bail", config.driver === "sqlite" ? config.path : ""], {
        stdin,
        env: ENV,
      }),
    definitions: ({ sql }) => sql("SELECT name, sql FROM sqlite_schema ORDER BY name"),
    wiki: { type: "datetime", time: "datetime('now', '-10 minutes')" },
    indexes: async ({ sql }) =>
      (await sql("SELECT 1 FROM sqlite_schema WHERE name = 'popbsmtp_last_seen'")).length,
  },
};

for (const [driver, kind] of Object.entries(kinds)) {
  describe(`the schema in ${driver}`, () => {
    it("is installed, once", () =>
      withStore(kind, async (store) => {
        assert.deepEqual(await store.install(), { from: 0, to: SCHEMA_VERSION });
        assert.equal(await store.schemaVersion(), SCHEMA_VERSION);
        assert.deepEqual(await store.install(), { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
      }));

    for (const suffix of ["", "_schema"]) {
      it(`is repaired where only the table popbsmtp${suffix} is gone`, () =>
        withStore(kind, async (store, subject) => {
          await store.install();
          await subject.sql(`DROP TABLE ${subject.config.table}${suffix}`);
          assert.equal(await store.schemaVersion(), 0);
          assert.deepEqual(await store.install(), { from: 0, to: SCHEMA_VERSION });
          await authorizeOne(store);
          assert.equal(await store.schemaVersion(), SCHEMA_VERSION);
        }));
    }

    it("is installed once by two hosts at the same time", () =>
      withStore(kind, async (store, subject) => {
        const other = subject.open();
        try {
          const done = await Promise.all([store.install(), other.install()]);
          assert.deepEqual(new Set(done.map(({ from }) => from)), new Set([0, SCHEMA_VERSION]));
        } finally {
          await other.close();
        }
      }));

    for (const from of [1, 2]) {
      it(`is upgraded from version ${String(from)}, keeps its rows, and tells "bob" from "bob " afterwards`, () =>
        withStore(kind, async (store, subject) => {
          await kind.client(subject, versionsOf(subject.config).slice(0, from).join(""));
          assert.equal(await kind.indexes(subject), from - 1);
          await authorize(store, "192.0.2.1", "bob");
          await authorize(store, "192.0.2.2", "bob ");
          assert.deepEqual(await store.install(), { from, to: SCHEMA_VERSION });
          assert.equal(await kind.indexes(subject), 1);
          assert.equal((await store.list()).length, 2);
          await authorize(store, "192.0.2.2", "bob");
          assert.equal((await store.list()).length, 3);
          assert.equal(await store.revoke({ user: "bob" }), 2);
          assert.deepEqual(
            (await store.list()).map(({ user }) => user),
            ["bob "],
          );
        }));
    }

    it("takes logins before it is upgraded to version 3, and cannot record a revocation", () =>
      withStore(kind, async (store, subject) => {
        await kind.client(subject, versionsOf(subject.config).slice(0, 2).join(""));
        await authorizeOne(store);
        await assert.rejects(store.revoke({ user: "bob" }), (error: Error) => {
          assert.ok(error instanceof StoreAwayError);
          assert.match(
            error.message,
            /_revocations.*run: popbsmtp schema install; 1 authorization ended, but logins that wait in a spool still count$/,
          );
          return true;
        });
        assert.deepEqual(await store.list(), []);
        assert.equal(await store.purge(), 0);
      }));

    it("gets its table of revocations back", () =>
      withStore(kind, async (store, { config, sql }) => {
        await store.install();
        await sql(`DROP TABLE ${config.table}_revocations`);
        assert.deepEqual(await store.install(), { from: 2, to: SCHEMA_VERSION });
        assert.equal(await store.revoke({ user: "bob" }), 0);
      }));

    it("forgets a revocation after a week", () =>
      withStore(kind, async (store, { config, sql }) => {
        await store.install();
        await store.revoke({ user: "ann" });
        await sql(`UPDATE ${config.table}_revocations SET revoked_at = '2026-01-01 00:00:00'`);
        await store.revoke({ user: "bob" });
        await store.purge();
        const rows = await sql(`SELECT * FROM ${config.table}_revocations`);
        assert.deepEqual(
          rows.map((row) => String(row["user"])),
          ["bob"],
        );
      }));

    it("is the same from the database's own client, also fed twice", () =>
      withStore(kind, async (_, subject) => {
        await kind.client(subject, schemaText(subject.config));
        await kind.client(subject, schemaText(subject.config));
        await withStore(kind, async (store, installed) => {
          await store.install();
          assert.deepEqual(await kind.definitions(subject), await kind.definitions(installed));
        });
        const again = subject.open();
        try {
          assert.deepEqual(await again.install(), { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
        } finally {
          await again.close();
        }
      }));

    it("takes the place of the wiki's table of the same name, and keeps its rows", () =>
      withStore(kind, async (store, subject) => {
        const { table } = subject.config;
        const { type, time } = kind.wiki;
        await kind.client(
          subject,
          `CREATE TABLE ${table} (address varchar(39) PRIMARY KEY, last_seen ${type});` +
            `INSERT INTO ${table} VALUES ('192.0.2.1', ${time});`,
        );
        assert.deepEqual(await store.install(), { from: 0, to: SCHEMA_VERSION });
        await store.install();
        const [row, ...more] = await store.list();
        assert.equal(more.length, 0);
        assert.deepEqual([row?.address, row?.user, row?.logins], ["192.0.2.1", "", 1]);
        const age = (Date.now() - (row?.lastSeen.getTime() ?? 0)) / 60_000;
        assert.ok(Math.abs(age - 10) < 0.2, `${String(age)} minutes old`);
        await authorizeOne(store);
        assert.equal((await store.list()).length, 2);
      }));

    it("is not recorded by the files where the wiki's table is", () =>
      withStore(kind, async (store, subject) => {
        const { table } = subject.config;
        await kind.client(
          subject,
          `CREATE TABLE ${table} (address varchar(39) PRIMARY KEY, last_seen ${kind.wiki.type});`,
        );
        await assert.rejects(kind.client(subject, schemaText(subject.config)), /logins/);
        assert.equal(await store.schemaVersion(), 0);
      }));

    it("is refused when it is newer", () =>
      withStore(kind, async (store, subject) => {
        await store.install();
        await subject.sql(
          `UPDATE ${subject.config.table}_schema SET version = version + 1 WHERE version = ${String(SCHEMA_VERSION)}`,
        );
        await assert.rejects(store.install(), (error: Error) => {
          assert.ok(error instanceof StoreAwayError);
          assert.match(
            error.message,
            new RegExp(
              `version ${String(SCHEMA_VERSION + 1)}, .* knows ${String(SCHEMA_VERSION)}: upgrade popbsmtp`,
            ),
          );
          return true;
        });
      }));

    it("is asked for where it is missing", () =>
      withStore(kind, async (store) => {
        await assert.rejects(authorizeOne(store), (error: Error) => {
          assert.ok(error instanceof StoreAwayError);
          assert.match(
            error.message,
            /^store: \w+ .*(?:table|it) .*does not exist; run: popbsmtp schema install$|doesn't exist; run: popbsmtp schema install$/,
          );
          assert.ok(error.cause instanceof Error);
          return true;
        });
        await store.install();
        await authorizeOne(store);
      }));

    it("is none of ours where the table is mapped", () =>
      withStore(kind, async (_, subject) => {
        const config = { ...subject.config, mapped: true };
        assert.match(schemaText(config), /^-- .*nothing to install\.\n$/);
      }));
  });
}

it("MySQL without a collation that compares bytes gets varbinary columns", () => {
  const kind = kinds["mysql"];
  assert.ok(kind !== undefined);
  return withStore(kind, async (store, subject) => {
    const old = schemaText(subject.config).replaceAll(/'utf8mb4_(?:nopad|0900)_bin'/g, "'none'");
    await kind.client(subject, old);
    await authorize(store, "192.0.2.1", "bøb ");
    await authorize(store, "192.0.2.1", "bøb");
    const rows = await store.list();
    assert.deepEqual(
      rows.map(({ address, user }) => [address, user]),
      [
        ["192.0.2.1", "bøb"],
        ["192.0.2.1", "bøb "],
      ],
    );
    assert.equal(await store.revoke({ user: "bøb" }), 1);
    assert.equal((await store.lookup(rows[0]?.address ?? assert.fail()))?.user, "bøb ");
  });
});

it("MySQL's tables are upgraded while logins go on, and not behind a transaction that stays open", async () => {
  const kind = kinds["mysql"];
  assert.ok(kind !== undefined);
  await withStore(kind, async (store, subject) => {
    await kind.client(subject, versionsOf(subject.config).slice(0, 2).join(""));
    const { table } = subject.config;
    await subject.sql(
      `INSERT INTO ${table} SELECT concat('198.51.', seq DIV 256, '.', seq MOD 256), 'ann', 'imap', ` +
        "UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 1 FROM seq_1_to_50000",
    );
    const holder = await mysql.createConnection({
      socketPath: mariadb.socket,
      user: "root",
      database: "mail",
    });
    try {
      await holder.query("BEGIN");
      await holder.query(`SELECT 1 FROM ${table} LIMIT 1`);
      await assert.rejects(kind.client(subject, schemaText(subject.config)), /Lock wait timeout/);
    } finally {
      await holder.end();
    }
    const writer = subject.open();
    try {
      const done = new AbortController();
      const installing = store.install().finally(() => done.abort());
      let logins = 0;
      while (!done.signal.aborted) {
        await authorize(writer, `192.0.2.${String(logins++ % 250)}`, "bob");
      }
      assert.deepEqual(await installing, { from: 2, to: SCHEMA_VERSION });
      assert.equal((await store.count()).all, 50_000 + Math.min(logins, 250));
    } finally {
      await writer.close();
    }
  });
});

async function withStore(
  kind: Kind,
  test: (store: Store, subject: Subject) => Promise<void>,
): Promise<void> {
  const subject = await kind.fresh();
  const store = subject.open();
  try {
    await test(store, subject);
  } finally {
    await store.close();
  }
}

/** The SQL of versions 1, 2, ... */
function versionsOf(config: TableStoreConfig): readonly string[] {
  return schemaText(config).split(/(?=^-- popbsmtp, schema version \d)/m);
}

function authorizeOne(store: Store): Promise<void> {
  return authorize(store, "192.0.2.7", "bob");
}

async function authorize(store: Store, from: string, user: string): Promise<void> {
  const address = parseAddress(from);
  assert.ok(address !== undefined);
  const now = Date.now();
  await store.authorize([{ address, user, service: "imap", time: now }], now);
}
