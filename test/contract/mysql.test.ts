import { after, before, describe } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { storeContract } from "./store-contract.ts";
import { serverSubject, twoColumns } from "./subject.ts";

let server: DatabaseServer;
before(async () => {
  server = await startMariadb();
  // no zone that anybody would guess, and the laxest mode
  await server.query("SET GLOBAL time_zone = '-03:30', GLOBAL sql_mode = ''");
});
after(() => server[Symbol.asyncDispose]());

describe("mysql", () => {
  storeContract(() => serverSubject("mysql", server), { full: true, grain: 1 });
});

describe("mysql, the wiki's popbsmtp(address varchar(39), last_seen datetime)", () => {
  const mapped = {
    columns: twoColumns("address", "last_seen"),
    create: (table: string) =>
      `CREATE TABLE ${table} (address varchar(39) PRIMARY KEY, last_seen datetime)`,
  };
  storeContract(() => serverSubject("mysql", server, mapped), { full: false, grain: 1000 });
});
