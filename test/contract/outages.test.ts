import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseAddress } from "../../src/login/address.ts";
import { Secret, type ServerStoreConfig } from "../../src/config/config.ts";
import { RowRefusedError, StoreAwayError } from "../../src/lib/errors.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { freePort } from "../support/free-port.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { run } from "../support/run.ts";
import { LIFETIME, serverConfig } from "./subject.ts";

const address = parseAddress("192.0.2.1");
assert.ok(address !== undefined);

const authorize = (store: Store, user = "bob") => {
  const now = Date.now();
  return store.authorize([{ address, user, service: "imap", time: now }], now);
};

/** An outage: the error says where, and matches `pattern`; it has a cause, and no password. */
async function away(verb: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(verb, (error: unknown) => {
    assert.ok(error instanceof StoreAwayError);
    assert.match(error.message, pattern);
    assert.match(error.message, /^store: (?:pgsql|mysql) \S+\/\w+: ./);
    assert.doesNotMatch(error.message, /horse|wrong one/);
    assert.ok(error.cause instanceof Error);
    return true;
  });
}

const kinds = {
  pgsql: {
    start: startPostgres,
    password: /password authentication failed for user "popbsmtp"/,
    database: /database "elsewhere" does not exist/,
    column: /column "nonesuch" of relation "popbsmtp" does not exist; run: popbsmtp schema install/,
    tls: /does not support SSL/,
    refusedUser: "nul\0byte",
    disconnect: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
    environment: { PGHOST: "192.0.2.1", PGPORT: "1", PGUSER: "mallory", PGPASSWORD: "x" },
  },
  mysql: {
    start: startMariadb,
    password: /Access denied for user 'popbsmtp'/,
    database: /Access denied for user .* to database 'elsewhere'/,
    column: /Unknown column 'nonesuch' in .*; run: popbsmtp schema install/,
    tls: /does not support secure connection/,
    refusedUser: "x".repeat(256),
    disconnect: "KILL USER popbsmtp",
    environment: { MYSQL_HOST: "192.0.2.1", MYSQL_PWD: "x", MYSQL_TCP_PORT: "1" },
  },
};

for (const driver of ["pgsql", "mysql"] as const) {
  describe(`a ${driver} server`, () => {
    const kind = kinds[driver];
    let server: DatabaseServer;
    let config: ServerStoreConfig;
    const stores: Store[] = [];
    const open = (changes: Partial<ServerStoreConfig> = {}) => {
      const store = openStore({ ...config, ...changes }, { lifetime: LIFETIME });
      stores.push(store);
      return store;
    };
    before(async () => {
      server = await kind.start();
      config = serverConfig(driver, server);
      await open().install();
    });
    after(async () => {
      await Promise.all(stores.map((store) => store.close()));
      await server[Symbol.asyncDispose]();
    });

    it("may hang for a while: logins that waited for their turn have their own time", async () => {
      const store = open();
      await authorize(store, "first");
      server.pause();
      const start = Date.now();
      const waiting = ["first", "second"].map((user) => authorize(store, user));
      const end = Date.now();
      // more than by how much the clocks of two hosts may differ
      await sleep(3_000);
      server.resume();
      await Promise.all(waiting);
      for (const { user, lastSeen } of await store.list()) {
        const time = lastSeen.getTime();
        assert.ok(time >= start && time <= end, `${user}: ${time - start} ms`);
      }
    });

    it("may be stopped and started again: the next verb reconnects", async () => {
      const store = open();
      await authorize(store);
      await server.stop();
      await away(authorize(store), /ECONNREFUSED/);
      await away(store.lookup(address), /ECONNREFUSED/);
      await server.start();
      await authorize(store);
      assert.ok((await store.lookup(address)) !== undefined);
    });

    it("may break idle connections", async () => {
      const store = open();
      await authorize(store);
      await server.query(kind.disconnect);
      // whether or not we have heard of it yet, nothing ends this process, and then it works again
      await store.lookup(address).catch((error: unknown) => {
        assert.ok(error instanceof StoreAwayError);
      });
      assert.ok((await store.lookup(address)) !== undefined);
    });

    it("may hang: verbs end, connected or not, and so does close", async () => {
      const connected = open();
      await authorize(connected);
      server.pause();
      try {
        const start = performance.now();
        await Promise.all([
          away(authorize(connected), /no answer within 5 s/),
          away(authorize(open()), /timeout|ETIMEDOUT/),
        ]);
        assert.ok(performance.now() - start < 7_000);
      } finally {
        server.resume();
      }
      await authorize(connected);
      server.pause();
      try {
        await connected.close();
      } finally {
        server.resume();
      }
    });

    it("may refuse the password, and the message does not show it", async () => {
      const writer = { user: config.writer.user, password: new Secret("the wrong one") };
      await away(authorize(open({ writer })), kind.password);
      await away(
        authorize(open({ writer: { ...writer, password: undefined } })),
        /password|denied/,
      );
    });

    it("may refuse the password: the hosts after it are not asked", async () => {
      const writer = { user: config.writer.user, password: new Secret("the wrong one") };
      const hosts = [server.host, "nonesuch.invalid"];
      await assert.rejects(authorize(open({ hosts, writer })), (error: Error) => {
        assert.match(error.message, kind.password);
        assert.doesNotMatch(error.message, /nonesuch/);
        return true;
      });
    });

    it("may lack the database, or a column", async () => {
      await away(authorize(open({ database: "elsewhere" })), kind.database);
      const columns = { ...config.columns, service: "nonesuch" };
      await away(authorize(open({ columns })), kind.column);
    });

    it("may offer no TLS: then nothing is sent in the clear", async () => {
      const ssl = { ca: undefined, rejectUnauthorized: false };
      await away(authorize(open({ ssl })), kind.tls);
    });

    it("is the first of the hosts that answers", async () => {
      const store = open({ hosts: ["nonesuch.invalid", "/nonesuch/socket", server.host] });
      await authorize(store);
      assert.ok((await store.lookup(address)) !== undefined);
    });

    it("is said with every host's reason where none answers", async () => {
      const port = await freePort();
      await assert.rejects(
        authorize(open({ hosts: ["localhost", "nonesuch.invalid"], port })),
        (error: Error) => {
          assert.match(error.message, /localhost:\d+\/mail: .*ECONNREFUSED.*; nonesuch\.invalid:/);
          return true;
        },
      );
    });

    it("is reached through its Unix socket", async () => {
      const store = open({ hosts: [server.socket] });
      await authorize(store);
      assert.ok(store.name.includes(` ${server.socket}`), store.name);
      assert.ok(store.name.endsWith("/mail"), store.name);
    });

    it("may refuse a row: the others can still be written, on the same connection", async () => {
      const store = open();
      await assert.rejects(authorize(store, kind.refusedUser), (error: unknown) => {
        assert.ok(error instanceof RowRefusedError);
        assert.ok(error.cause instanceof Error);
        return true;
      });
      await authorize(store);
    });

    it("writes a batch entirely or not at all", async () => {
      const store = open();
      const now = Date.now();
      const users = ["first of a batch", kind.refusedUser];
      const logins = users.map((user) => ({ address, user, service: "imap", time: now }));
      await assert.rejects(store.authorize(logins, now), RowRefusedError);
      const rows = await store.list();
      assert.ok(!rows.some(({ user }) => user === "first of a batch"));
    });

    it("is asked as configured, whatever the environment says; and a closed store lets the process end", async () => {
      const { user, password, port, host, database } = server;
      const given = JSON.stringify({ ...config, writer: { user } });
      const script = `
        const { openStore } = await import(${JSON.stringify(import.meta.resolve("../../src/writers/open-stores.ts"))});
        const config = ${given};
        config.writer.password = { reveal: () => ${JSON.stringify(password)} };
        const store = openStore(config, { lifetime: 1000 });
        await store.install();
        await store.close();
        console.log(store.name);`;
      const { status, stdout, stderr } = await run(
        process.execPath,
        ["--input-type=module", "-e", script],
        {
          env: {
            ...kind.environment,
            USER: "mallory",
            HOME: "/nonexistent",
            PGDATABASE: "elsewhere",
            PGSSLMODE: "require",
            PGOPTIONS: "-c search_path=nonesuch",
            PGREPLICATION: "true",
            PGCLIENT_ENCODING: "SQL_ASCII",
          },
          timeout: 10_000,
        },
      );
      assert.equal(stderr.toString(), "");
      assert.equal(stdout.toString(), `${driver} ${host}:${String(port)}/${database}\n`);
      assert.equal(status, 0);
    });
  });
}
