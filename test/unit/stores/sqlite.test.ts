import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { parseAddress } from "../../../src/address.ts";
import { StoreAwayError } from "../../../src/errors.ts";
import { openStore } from "../../../src/stores/open.ts";
import { LIFETIME, OWN_COLUMNS } from "../../contract/subject.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

/** An installed file, a login to write to it, and another writer who is in the middle of something. */
async function lockedFile() {
  const directory = temporaryDirectory();
  const path = join(directory.path, "popbsmtp.db");
  const store = openStore(
    { driver: "sqlite", path, table: "popbsmtp", columns: OWN_COLUMNS, mapped: false },
    { lifetime: LIFETIME },
  );
  await store.install();
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const now = Date.now();
  return {
    store,
    other,
    address,
    authorize: () => store.authorize([{ address, user: "bob", service: "imap", time: now }], now),
    [Symbol.asyncDispose]: async () => {
      other.close();
      await store.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

it("while a write waits for another writer, everything else in the process goes on", async () => {
  await using there = await lockedFile();
  const written = there.authorize();
  await turn();
  // were it to wait in this thread, it would never come to this, and give up
  there.other.exec("COMMIT");
  await written;
  assert.ok((await there.store.lookup(there.address)) !== undefined);
});

it("a write gives up on another writer who stays, and a lookup need not wait for that one", async () => {
  await using there = await lockedFile();
  const written = assert.rejects(there.authorize(), StoreAwayError);
  assert.equal(await there.store.lookup(there.address), undefined);
  await written;
});
