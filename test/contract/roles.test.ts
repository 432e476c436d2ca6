import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { Secret, type ServerStoreConfig } from "../../src/config/config.ts";
import { openStore, rolesText, SCHEMA_VERSION, schemaText } from "../../src/writers/open-stores.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { LIFETIME, serverConfig } from "./subject.ts";

const ACCOUNTS = ["popbsmtp", "popbsmtp_purger", "popbsmtp_reader"];

const servers = {
  pgsql: {
    start: startPostgres,
    unlock: (name: string) => `ALTER ROLE ${name} PASSWORD 'secret'`,
    // in a test's server this account owns the database
    prepare: "ALTER DATABASE mail OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC",
    create: "CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'secret'",
  },
  mysql: {
    start: startMariadb,
    unlock: (name: string) => `ALTER USER ${name}@'%' IDENTIFIED BY 'secret' ACCOUNT UNLOCK`,
    prepare: "DROP USER popbsmtp@'%'; DROP USER popbsmtp@'localhost'",
    create: "GRANT ALL ON *.* TO admin@'%' IDENTIFIED BY 'secret' WITH GRANT OPTION",
  },
};

for (const driver of ["pgsql", "mysql"] as const) {
  describe(`the accounts in ${driver}`, () => {
    const { start, unlock, prepare, create } = servers[driver];
    let server: DatabaseServer;
    let config: ServerStoreConfig;
    const stores: Store[] = [];
    const as = (user: string, role: "writer" | "purger" = "writer") => {
      const account = { user, password: new Secret("secret") };
      const accounts = role === "writer" ? { writer: account } : { purger: account };
      const store = openStore({ ...config, ...accounts }, { lifetime: LIFETIME, role });
      stores.push(store);
      return store;
    };

    before(async () => {
      server = await start();
      config = serverConfig(driver, server);
      await server.query(prepare);
      await server.query(create);
      await as("admin").install();
      await server.query(rolesText(config));
      await server.query(rolesText(config));
      for (const name of ACCOUNTS) await server.query(unlock(name));
    });
    after(async () => {
      await Promise.all(stores.map((store) => store.close()));
      await server[Symbol.asyncDispose]();
    });

    const address = parseAddress("192.0.2.1");
    assert.ok(address !== undefined);
    const authorize = (store: Store, time: number) =>
      store.authorize([{ address, user: "bob", service: "imap", time }], Date.now());

    it("let the writer record and look, and not delete", async () => {
      const writer = as("popbsmtp");
      await authorize(writer, Date.now() - 60_000);
      await authorize(writer, Date.now());
      assert.equal((await writer.lookup(address))?.logins, 2);
      assert.equal((await writer.list()).length, 1);
      assert.equal(await writer.schemaVersion(), SCHEMA_VERSION);
      await assert.rejects(
        writer.revoke({ address }),
        /denied.*see popbsmtp's accounts in roles.sql/,
      );
      await assert.rejects(writer.purge(), /denied/);
    });

    it("let the purger delete, and not authorize", async () => {
      const purger = as("popbsmtp_purger", "purger");
      await authorize(as("popbsmtp"), Date.now() - LIFETIME - 10_000);
      await authorize(as("popbsmtp"), Date.now());
      assert.equal(await purger.schemaVersion(), SCHEMA_VERSION);
      assert.equal(await purger.purge(), 0);
      assert.equal(await purger.purge({ olderThan: 0 }), 1);
      assert.equal(await purger.revoke({ user: "bob" }), 0);
      await assert.rejects(authorize(purger, Date.now()), /denied/);
      await authorize(as("popbsmtp"), Date.now() - 60_000);
      assert.deepEqual(await as("popbsmtp").list(), []);
    });

    it("let the writer record logins right after an upgrade from version 2", async () => {
      const original = config;
      config = { ...config, table: "upgraded" };
      try {
        const versions = schemaText(config).split(/(?=^-- popbsmtp, schema version \d)/m);
        await server.query(versions.slice(0, 2).join(""));
        const grants = rolesText(config).match(/^GRANT (?!.*_revocations).*;$/gm);
        await server.query(grants?.join("\n") ?? "");
        assert.deepEqual(await as("admin").install(), { from: 2, to: 3 });
        await authorize(as("popbsmtp"), Date.now());
        const purger = as("popbsmtp_purger", "purger");
        if (driver === "mysql") {
          await assert.rejects(
            purger.revoke({ user: "bob" }),
            /denied.*roles.sql; 1 authorization ended, but logins that wait/,
          );
          await server.query(rolesText(config));
        }
        assert.equal(await purger.revoke({ user: "bob" }), driver === "mysql" ? 0 : 1);
        await authorize(as("popbsmtp"), Date.now() - 60_000);
        assert.deepEqual(await as("popbsmtp").list({ all: true }), []);
      } finally {
        config = original;
      }
    });

    it("let the reader see no users", async () => {
      await assert.rejects(as("popbsmtp_reader").list(), /denied/);
    });
  });
}
