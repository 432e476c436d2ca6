import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { parseAddress } from "../../../../src/login/address.ts";
import { StoreAwayError } from "../../../../src/lib/errors.ts";
import { openStore } from "../../../../src/writers/open-stores.ts";
import { LIFETIME } from "../../../contract/subject.ts";
import { sqliteWith } from "../../../support/config.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/**
 * An installed file, a login to write to it, and another writer who is in the middle of something.
 */
async function lockedFile() {
  const directory = temporaryDirectory();
  const path = join(directory.path, "db", "popbsmtp.db");
  const store = openStore(sqliteWith({ path }), { lifetime: LIFETIME });
  await store.install();
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const now = Date.now();
  return {
    store,
    path,
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

it("nothing is written to a file that was moved away, where nobody would find it", async () => {
  await using there = await lockedFile();
  there.other.exec("COMMIT");
  await there.authorize();
  const directory = dirname(there.path);
  renameSync(directory, `${directory}.moved`);
  await assert.rejects(there.authorize(), /it does not exist/);
  await assert.rejects(there.store.lookup(there.address), StoreAwayError);
  renameSync(`${directory}.moved`, directory);
  await there.authorize();
  assert.ok((await there.store.lookup(there.address)) !== undefined);
});

it("a file that was put in the place of another is the one that is written to", async () => {
  await using there = await lockedFile();
  there.other.exec("COMMIT");
  await there.authorize();
  renameSync(dirname(there.path), `${dirname(there.path)}.moved`);
  await there.store.install();
  assert.equal(await there.store.lookup(there.address), undefined);
  await there.authorize();
  assert.ok((await there.store.lookup(there.address)) !== undefined);
});

it("a FIFO in the place of one of SQLite's files takes the store away, and nothing waits for it", async () => {
  for (const end of ["", "-journal", "-wal", "-shm"]) {
    await using there = await lockedFile();
    there.other.exec("ROLLBACK");
    await there.authorize();
    await there.store.close();
    rmSync(`${there.path}${end}`, { force: true });
    spawnSync("mkfifo", [`${there.path}${end}`]);
    await assert.rejects(there.authorize(), (error: unknown) => {
      assert.ok(error instanceof StoreAwayError);
      assert.match(error.message, /is not a file; remove it$/);
      return true;
    });
  }
});
