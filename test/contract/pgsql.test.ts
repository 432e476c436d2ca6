import { after, before, describe } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { startPostgres } from "../support/postgres.ts";
import { storeContract } from "./store-contract.ts";
import { serverSubject, twoColumns } from "./subject.ts";

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
