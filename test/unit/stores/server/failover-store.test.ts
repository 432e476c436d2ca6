import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreAwayError } from "../../../../src/lib/errors.ts";
import { parseAddress } from "../../../../src/login/address.ts";
import type { Login } from "../../../../src/login/login.ts";
import type { Store } from "../../../../src/stores/store.ts";
import { FailoverStore } from "../../../../src/stores/server/failover-store.ts";
import { Hosts } from "../../../../src/stores/server/hosts.ts";
import { LateCommits } from "../../../../src/stores/server/late-commits.ts";
import { memoryStore } from "../../commands/memory-store.ts";
import { serverWith } from "../../../support/config.ts";

const ADDRESS = parseAddress("192.0.2.1") ?? assert.fail();

function login(user: string, time = 0): Login {
  return { address: ADDRESS, user, service: "imap", time };
}

/** A store that writes to whichever host is in use, and what is in each. */
function twoHosts() {
  const hosts = new Hosts(serverWith({ hosts: ["a", "b"] }));
  const written = new Map<string, string[]>([
    ["a", []],
    ["b", []],
  ]);
  const clock = { moment: 0 };
  const late = new LateCommits(hosts, () => clock.moment);
  const isAway = { value: false };
  const inner: Store = {
    ...memoryStore(),
    authorize: async (batch) => {
      if (isAway.value) throw new StoreAwayError("store: away");
      await Promise.resolve();
      written.get(hosts.current ?? "")?.push(...batch.map(({ user }) => user));
    },
    lookup: async () => {
      const [user] = written.get(hosts.current ?? "") ?? [];
      await Promise.resolve();
      return user === undefined
        ? undefined
        : {
            address: ADDRESS,
            user,
            service: undefined,
            firstSeen: undefined,
            lastSeen: new Date(0),
            logins: 1,
          };
    },
  };
  hosts.use("a");
  return { hosts, written, clock, late, isAway, open: () => new FailoverStore(inner, late) };
}

test("what the old host took is written to the new one with the next login", async () => {
  const { hosts, written, late, open } = twoHosts();
  const store = open();
  await store.authorize([login("ann"), login("bob")], 0);
  hosts.use("b");
  await store.authorize([login("eve")], 0);
  await late.pay(() => Promise.resolve());
  assert.deepEqual(written.get("b"), ["eve", "ann", "bob"]);
  assert.equal(late.isOwed, false);
});

test("no lookup is answered 'no' before that, on whichever handle", async () => {
  const { hosts, open } = twoHosts();
  await open().authorize([login("ann")], 0);
  hosts.use("b");
  assert.equal((await open().lookup(ADDRESS))?.user, "ann");
});

test("a lookup is not answered where it cannot be written again", async () => {
  const { hosts, isAway, open } = twoHosts();
  const store = open();
  await store.authorize([login("ann")], 0);
  hosts.use("b");
  isAway.value = true;
  await assert.rejects(store.lookup(ADDRESS), StoreAwayError);
  isAway.value = false;
  assert.equal((await store.lookup(ADDRESS))?.user, "ann");
});

test("what was committed a minute before the old host's last answer has long been replicated", async () => {
  const { hosts, clock, written, open } = twoHosts();
  const store = open();
  await store.authorize([login("old")], 0);
  clock.moment = 60_000;
  await store.authorize([login("new")], 0);
  // however long the host has been silent since
  clock.moment = 3_600_000;
  hosts.use("b");
  await store.lookup(ADDRESS);
  assert.deepEqual(written.get("b"), ["new"]);
});

test("a batch that was on its way to the old host is written to the new one", async () => {
  const { hosts, written, late, open } = twoHosts();
  const { changes } = late;
  hosts.use("b");
  late.note([login("ann")], changes);
  await open().lookup(ADDRESS);
  assert.deepEqual(written.get("b"), ["ann"]);
});

test("of several logins of a user at an address only the last is owed", async () => {
  const { hosts, written, late, open } = twoHosts();
  const store = open();
  await store.authorize([login("ann", 2), login("ann", 1)], 0);
  hosts.use("b");
  await store.lookup(ADDRESS);
  assert.deepEqual(written.get("b"), ["ann"]);
  assert.equal(late.isOwed, false);
});

test("nothing is written again while the host in use stays the same", async () => {
  const { hosts, written, open } = twoHosts();
  const store = open();
  await store.authorize([login("ann")], 0);
  hosts.fail("a", "no answer");
  hosts.use("a");
  await store.authorize([login("bob")], 0);
  assert.deepEqual(written.get("a"), ["ann", "bob"]);
});
