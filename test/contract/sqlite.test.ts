import { after, before, describe } from "node:test";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { storeContract } from "./store-contract.ts";
import { sqliteSubject, twoColumns } from "./subject.ts";

let directory: TemporaryDirectory;
before(() => {
  directory = temporaryDirectory();
});
after(() => directory[Symbol.asyncDispose]());

describe("sqlite", () => {
  storeContract(() => Promise.resolve(sqliteSubject(directory.path)), { full: true, grain: 1 });
});

describe("sqlite, a table of one's own, seen(host, at)", () => {
  const mapped = {
    columns: twoColumns("host", "at"),
    create: (table: string) => `CREATE TABLE ${table} (host TEXT PRIMARY KEY, at TEXT)`,
  };
  const fresh = () => Promise.resolve(sqliteSubject(directory.path, mapped));
  storeContract(fresh, { full: false, grain: 1 });
});
