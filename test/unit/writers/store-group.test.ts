/** What test/contract/several.test.ts has no real store for: those that cannot be asked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../../../src/login/address.ts";
import { UnsupportedError, UsageError } from "../../../src/lib/errors.ts";
import type { Authorization, OneWaySink, Store } from "../../../src/stores/store.ts";
import { StoreGroup } from "../../../src/writers/store-group.ts";
import { memoryStore } from "../commands/memory-store.ts";

const ALICE = parseAddress("192.0.2.1");
assert.ok(ALICE !== undefined);
const address = ALICE;

function row(changes: Partial<Authorization> = {}): Authorization {
  return {
    address,
    user: "ann",
    service: undefined,
    firstSeen: undefined,
    lastSeen: new Date(1_000_000),
    logins: undefined,
    ...changes,
  };
}

/** A daemon that takes logins and tells nothing. */
function mute(): OneWaySink {
  return {
    name: "mute",
    authorize: () => Promise.resolve(),
    probe: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

function several(...stores: readonly (Store | OneWaySink)[]) {
  const told: string[] = [];
  return { told, store: new StoreGroup(stores, { report: (line) => told.push(line) }) };
}

test("those that cannot be asked are passed over", async () => {
  const { store, told } = several(mute(), memoryStore([row()]));
  assert.equal((await store.lookup(address))?.user, "ann");
  assert.equal((await store.list()).length, 1);
  assert.equal((await store.count()).all, 1);
  assert.equal(await store.purge(), 1);
  assert.deepEqual(told, []);
});

test("an authorization that one cannot end is told of, though the others have ended it", async () => {
  const { store, told } = several(mute(), memoryStore([row()]));
  assert.equal(await store.revoke({ address }), 1);
  assert.deepEqual(told, ["store: mute: cannot revoke an authorization; it expires by itself"]);
});

test("where none can be asked, that is the answer", async () => {
  const { store } = several(mute(), mute());
  for (const asked of [
    store.lookup(address),
    store.list(),
    store.count(),
    store.revoke({ address }),
    store.purge(),
  ]) {
    await assert.rejects(asked, UnsupportedError);
  }
});

test("an authorization is listed once, with the latest login and all that any of them holds", async () => {
  const early = row({ service: "imap", firstSeen: new Date(500_000), logins: 3 });
  const late = row({ lastSeen: new Date(2_000_000) });
  const other = row({ user: "bob", lastSeen: new Date(3_000_000) });
  const { store } = several(memoryStore([early]), memoryStore([other, late]));
  assert.deepEqual(await store.list(), [other, { ...early, lastSeen: late.lastSeen }]);
});

test("what one has to say about a question is said, and the others have done it", async () => {
  const strict: Store = {
    ...memoryStore(),
    revoke: () => Promise.reject(new UsageError("store: the table holds no users")),
  };
  const { store } = several(strict, memoryStore());
  await assert.rejects(store.revoke({ user: "ann" }), {
    exitStatus: 64,
    message: "store: the table holds no users; the other stores have done it",
  });
});
