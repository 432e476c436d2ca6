import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, type Address } from "../../src/login/address.ts";
import { UsageError } from "../../src/lib/errors.ts";
import type { Login } from "../../src/login/login.ts";
import type { Authorization, Store } from "../../src/stores/store.ts";
import { LIFETIME, type ContractSubject } from "./subject.ts";

const MINUTE = 60_000;

export interface ContractOptions {
  /** Whether the table holds users, services, first logins and counts. */
  readonly full: boolean;
  /** Where it does not: whether it holds who logged in last from an address. Default: false. */
  readonly lastUser?: boolean;
  /** How many milliseconds a time may lose in the table: 1000 where it holds whole seconds. */
  readonly grain: number;
}

/**
 * Every sentence of src/stores/store.ts, proved on a store. `fresh` makes a table that nobody else
 * uses.
 */
export function storeContract(
  fresh: () => Promise<ContractSubject>,
  { full, lastUser = false, grain }: ContractOptions,
): void {
  /** Users as the table has them. */
  const held = (...users: readonly string[]) =>
    users.map((user) => (full || lastUser ? user : undefined));
  /** Runs a test with an installed store, and as many more handles as it opens. */
  const withStore = async (test: (store: Store, subject: ContractSubject) => Promise<void>) => {
    const subject = await fresh();
    const handles: Store[] = [];
    const open = () => {
      const handle = subject.open();
      handles.push(handle);
      return handle;
    };
    try {
      const store = open();
      await store.install();
      await test(store, { ...subject, open });
    } finally {
      await Promise.all(handles.map((handle) => handle.close()));
    }
  };
  const near = (actual: Date | undefined, expected: number, tolerance: number) => {
    assert.ok(actual !== undefined);
    const off = actual.getTime() - expected;
    assert.ok(Math.abs(off) <= tolerance, `${actual.toISOString()} is off by ${String(off)} ms`);
  };

  describe("authorize", () => {
    it("makes an address live, and no other", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", { time: now })], now);
        const found = await store.lookup(address("192.0.2.1"));
        assert.equal(found?.address, "192.0.2.1");
        assert.equal(found?.lastSeen.getTime(), Math.floor(now / grain) * grain);
        assert.equal(await store.lookup(address("192.0.2.10")), undefined);
        assert.equal(await store.lookup(address("192.0.2.11")), undefined);
        assert.equal(await store.lookup(address("2001:db8::1")), undefined);
      }));

    it("takes IPv6 addresses", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize([login("2001:db8::1", { time: now })], now);
        assert.equal((await store.lookup(address("2001:DB8:0::1")))?.address, "2001:db8::1");
      }));

    it("keeps what the table has columns for", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", { user: "bob", time: now })], now);
        const row = await store.lookup(address("192.0.2.1"));
        assert.deepEqual(
          [row?.user, row?.service, row?.firstSeen, row?.logins],
          full
            ? ["bob", "imap", row?.lastSeen, 1]
            : [...held("bob"), undefined, undefined, undefined],
        );
      }));

    it("keeps the later login, whichever comes first", () =>
      withStore(async (store) => {
        const now = Date.now();
        const late = login("192.0.2.1", { service: "pop3", time: now - MINUTE });
        const early = login("192.0.2.1", { service: "imap", time: now - 5 * MINUTE });
        await store.authorize([late], now);
        await store.authorize([early], now);
        const row = await store.lookup(address("192.0.2.1"));
        near(row?.lastSeen, late.time, grain);
        if (!full) return;
        near(row?.firstSeen, early.time, grain);
        assert.equal(row?.service, "pop3");
        assert.equal(row?.logins, 2);
      }));

    it("makes one row of a batch's logins of one address and user", () =>
      withStore(async (store) => {
        const now = Date.now();
        const times = [3, 1, 2].map((minutes) => now - minutes * MINUTE);
        const services = ["a", "b", "c"];
        await store.authorize(
          times.map((time, i) => login("192.0.2.1", { time, service: services[i] ?? "" })),
          now,
        );
        const rows = await store.list();
        assert.equal(rows.length, 1);
        near(rows[0]?.lastSeen, now - MINUTE, grain);
        if (!full) return;
        near(rows[0]?.firstSeen, now - 3 * MINUTE, grain);
        assert.equal(rows[0]?.service, "b");
        assert.equal(rows[0]?.logins, 3);
      }));

    it("makes a row for each user, where it holds users", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize(
          [
            login("192.0.2.1", { user: "ann", time: now - MINUTE }),
            login("192.0.2.1", { user: "bob", time: now }),
          ],
          now,
        );
        const users = (await store.list()).map((row) => row.user);
        assert.deepEqual(users, full ? ["bob", "ann"] : held("bob"));
        assert.equal((await store.lookup(address("192.0.2.1")))?.user, held("bob")[0]);
      }));

    it("changes nothing when a batch comes a second time", () =>
      withStore(async (store) => {
        const now = Date.now();
        const batch = [
          login("192.0.2.1", { time: now - 3 * MINUTE + 0.123 }),
          login("192.0.2.1", { time: now - 2 * MINUTE + 0.456 }),
          login("192.0.2.2", { time: now - MINUTE + 0.789 }),
        ];
        await store.authorize(batch, now);
        const before = await store.list();
        await store.authorize(batch, now + 300);
        assert.deepEqual(await store.list(), before);
        assert.equal(before.length, 2);
      }));

    it("goes by the store's clock where this host's is wrong", () =>
      withStore(async (store) => {
        const wrong = Date.now() + 24 * 60 * MINUTE;
        await store.authorize([login("192.0.2.1", { time: wrong - 10 * MINUTE })], wrong);
        near((await store.lookup(address("192.0.2.1")))?.lastSeen, Date.now() - 10 * MINUTE, 1_500);
      }));

    it("takes a login from the future for one of now", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", { time: now + 10 * MINUTE })], now);
        near((await store.lookup(address("192.0.2.1")))?.lastSeen, Date.now(), 1_500);
      }));

    it("never rounds a time up", () =>
      withStore(async (store) => {
        const now = Math.floor(Date.now() / 1000) * 1000 - 1;
        await store.authorize([login("192.0.2.1", { time: now })], now);
        const row = await store.lookup(address("192.0.2.1"));
        assert.ok(row !== undefined && row.lastSeen.getTime() <= now);
      }));

    it("writes batches of any size, and none at all", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize([], now);
        assert.equal((await store.list()).length, 0);
        await store.authorize(crowd(1_234, now), now);
        await store.authorize(crowd(17, now), now);
        assert.equal((await store.list()).length, 1_234);
      }));

    it("is safe from two hosts at once, in any order", () =>
      withStore(async (first, { open }) => {
        const second = open();
        // connected, so that they meet
        await Promise.all([first.list(), second.list()]);
        const now = Date.now();
        const batch = crowd(150, now - MINUTE);
        const later = batch.map((each, i) => ({ ...each, time: now + i / 1000 }));
        const turns = Array.from({ length: 6 }, (_, turn) => [
          first.authorize(turn % 2 === 0 ? batch : later.toReversed(), now),
          second.authorize(turn % 2 === 0 ? later : batch.toReversed(), now),
        ]);
        await Promise.all(turns.flat());
        const rows = await first.list();
        assert.equal(rows.length, 150);
        for (const row of rows) near(row.lastSeen, now, grain);
      }));

    it("counts every login of two hosts, where it counts", () =>
      withStore(async (first, { open }) => {
        const second = open();
        const now = Date.now();
        await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            (i % 2 === 0 ? first : second).authorize([login("192.0.2.1", { time: now - i })], now),
          ),
        );
        const row = await first.lookup(address("192.0.2.1"));
        near(row?.lastSeen, now, grain);
        assert.equal(row?.logins, full ? 20 : undefined);
      }));

    for (const [what, user] of HOSTILE_USERS) {
      it(`takes a user with ${what}, and keeps them exactly where it holds users`, () =>
        withStore(async (store) => {
          const now = Date.now();
          const other = `x${user.slice(0, -2)}`;
          await store.authorize(
            [
              login("192.0.2.1", { user, time: now }),
              login("192.0.2.2", { user: other, time: now - 1_000 }),
            ],
            now,
          );
          const users = (await store.list()).map((row) => row.user);
          assert.deepEqual(users, held(user, other));
          if (full || lastUser) assert.equal(await store.revoke({ user }), 1);
        }));
    }

    it("compares users byte by byte, where it holds users", () =>
      withStore(async (store) => {
        const now = Date.now();
        const users = ["bob", "Bob", "böb", "bo\u0308b", "bob ", "bob  ", "bob\t", " bob", ""];
        await store.authorize(
          users.map((user) => login("192.0.2.1", { user, time: now })),
          now,
        );
        assert.equal((await store.list()).length, full ? users.length : 1);
        if (!full) return;
        for (const user of users)
          assert.equal(await store.revoke({ user }), 1, JSON.stringify(user));
      }));

    it("takes halves of a character for the same unknown one", () =>
      withStore(async (store) => {
        const now = Date.now();
        const users = ["\ud800", "\udfff"];
        await store.authorize(
          users.map((user) => login("192.0.2.1", { user, time: now })),
          now,
        );
        const rows = await store.list();
        assert.deepEqual(
          rows.map((row) => row.user),
          held("\ufffd"),
        );
      }));
  });

  describe("the lifetime", () => {
    it("ends an authorization whether or not a purge ran", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize(
          [
            login("192.0.2.1", { time: now - LIFETIME - 2_000 }),
            login("192.0.2.2", { time: now - LIFETIME + 30_000 }),
          ],
          now,
        );
        assert.equal(await store.lookup(address("192.0.2.1")), undefined);
        assert.ok((await store.lookup(address("192.0.2.2"))) !== undefined);
        assert.deepEqual(addresses(await store.list()), ["192.0.2.2"]);
        assert.deepEqual(addresses(await store.list({ all: true })), ["192.0.2.2", "192.0.2.1"]);
      }));

    it("does not begin in the future", () =>
      withStore(async (store, { shift }) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", { time: now })], now);
        await shift("192.0.2.1", 90);
        assert.equal(await store.lookup(address("192.0.2.1")), undefined);
        assert.equal((await store.list()).length, 0);
        await shift("192.0.2.1", 30);
        assert.ok((await store.lookup(address("192.0.2.1"))) !== undefined);
      }));

    it("begins anew with a login where the table said something in the future", () =>
      withStore(async (store, { shift }) => {
        const now = Date.now();
        await store.authorize([login("192.0.2.1", { service: "old", time: now - MINUTE })], now);
        await shift("192.0.2.1", 7_200);
        await store.authorize([login("192.0.2.1", { service: "new", time: now })], now);
        const row = await store.lookup(address("192.0.2.1"));
        near(row?.lastSeen, now, grain);
        assert.equal(row?.service, full ? "new" : undefined);
      }));
  });

  it("lists the latest first", () =>
    withStore(async (store) => {
      const now = Date.now();
      const minutes = [3, 1, 2];
      await store.authorize(
        minutes.map((m) => login(`192.0.2.${String(m)}`, { time: now - m * MINUTE })),
        now,
      );
      assert.deepEqual(addresses(await store.list()), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    }));

  it("counts what is live, and all, and says how old the oldest is", () =>
    withStore(async (store) => {
      assert.deepEqual(await store.count(), { live: 0, all: 0, oldest: undefined });
      const now = Date.now();
      const old = now - LIFETIME - MINUTE;
      await store.authorize(
        [login("192.0.2.1", { time: now }), login("192.0.2.2", { time: old })],
        now,
      );
      const { live, all, oldest } = await store.count();
      assert.deepEqual([live, all], [1, 2]);
      near(oldest, old, grain);
    }));

  describe("revoke", () => {
    const three = async (store: Store) => {
      const now = Date.now();
      await store.authorize(
        [
          login("192.0.2.1", { user: "ann", time: now }),
          login("192.0.2.1", { user: "bob", time: now - 1_000 }),
          login("192.0.2.2", { user: "bob", time: now - 2_000 }),
        ],
        now,
      );
    };

    it("ends an address's authorizations", () =>
      withStore(async (store) => {
        await three(store);
        assert.equal(await store.revoke({ address: address("192.0.2.1") }), full ? 2 : 1);
        assert.deepEqual(addresses(await store.list()), ["192.0.2.2"]);
        assert.equal(await store.revoke({ address: address("192.0.2.1") }), 0);
      }));

    it("ends a user's, at one address or everywhere; or says that the table holds no users", () =>
      withStore(async (store) => {
        await three(store);
        const one = { address: address("192.0.2.1"), user: "bob" };
        if (lastUser) {
          // at the other address ann was the last
          assert.equal(await store.revoke(one), 0);
          assert.equal(await store.revoke({ user: "bob" }), 1);
          assert.deepEqual(addresses(await store.list()), ["192.0.2.1"]);
          return;
        }
        if (!full) {
          await assert.rejects(store.revoke(one), UsageError);
          await assert.rejects(store.revoke({ user: "bob" }), /holds no users/);
          assert.equal((await store.list()).length, 2);
          return;
        }
        assert.equal(await store.revoke(one), 1);
        assert.deepEqual(addresses(await store.list()), ["192.0.2.1", "192.0.2.2"]);
        assert.equal(await store.revoke({ user: "bob" }), 1);
        assert.deepEqual(addresses(await store.list()), ["192.0.2.1"]);
      }));
  });

  if (full) {
    describe("a revocation", () => {
      const revocations = {
        "an address": { address: address("192.0.2.1") },
        "a user": { user: "bob" },
        "a user at an address": { address: address("192.0.2.1"), user: "bob" },
      };
      for (const [what, which] of Object.entries(revocations)) {
        it(`of ${what} covers every login before it, whenever that is written, and none after it`, () =>
          withStore(async (store, { open }) => {
            const other = open();
            const now = Date.now();
            const before = ["ann", "bob", "bob "].flatMap((user) =>
              ["192.0.2.1", "192.0.2.2"].map((from) => login(from, { user, time: now - MINUTE })),
            );
            const isCovered = (row: { address: Address; user: string | undefined }) =>
              (!("address" in which) || row.address === which.address) &&
              (!("user" in which) || row.user === which.user);
            assert.equal(await store.revoke(which), 0);
            await other.authorize(before, Date.now());
            const rows = await store.list();
            assert.equal(rows.length, before.filter((each) => !isCovered(each)).length);
            assert.deepEqual(rows.filter(isCovered), []);
            await other.authorize(before, Date.now());
            assert.deepEqual((await store.list()).filter(isCovered), []);
            const after = Date.now();
            await other.authorize([login("192.0.2.1", { user: "bob", time: after })], after);
            near((await store.list()).find(isCovered)?.lastSeen, after, grain);
            assert.equal((await store.list()).filter(isCovered)[0]?.logins, 1);
          }));
      }

      for (const size of [1, 25]) {
        it(`covers logins that other hosts are writing at the same moment, ${String(size)} at a time`, () =>
          withStore(async (store, { open }) => {
            const hosts = Array.from({ length: 4 }, open);
            await Promise.all(hosts.map((host) => host.list()));
            const batch = crowd(size, Date.now() - MINUTE);
            const revoked = new AbortController();
            const writing = hosts.map(async (host) => {
              while (!revoked.signal.aborted) await host.authorize(batch, Date.now());
            });
            await store.revoke({ user: "bob" });
            revoked.abort();
            await Promise.all(writing);
            assert.deepEqual(await store.list({ all: true }), []);
          }));
      }

      it("is still there after a purge", () =>
        withStore(async (store) => {
          await store.revoke({ user: "bob" });
          await store.purge({ olderThan: 0 });
          await store.authorize([login("192.0.2.1", { time: Date.now() - MINUTE })], Date.now());
          assert.deepEqual(await store.list({ all: true }), []);
        }));
    });
  }

  describe("purge", () => {
    it("deletes what expired, in batches, and nothing else", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize(crowd(25, now - LIFETIME - 5_000), now);
        await store.authorize([login("192.0.2.1", { time: now })], now);
        const progress: number[] = [];
        const deleted = await store.purge({ batchSize: 10, onProgress: (n) => progress.push(n) });
        assert.equal(deleted, 25);
        assert.deepEqual(progress, [10, 20, 25]);
        assert.deepEqual(addresses(await store.list({ all: true })), ["192.0.2.1"]);
        assert.equal(await store.purge(), 0);
      }));

    it("goes by the age it is given, and can tidy up", () =>
      withStore(async (store) => {
        const now = Date.now();
        await store.authorize(
          [
            login("192.0.2.1", { time: now - 5 * MINUTE }),
            login("192.0.2.2", { time: now - 15 * MINUTE }),
          ],
          now,
        );
        assert.equal(await store.purge({ olderThan: 10 * MINUTE, optimize: true }), 1);
        assert.deepEqual(addresses(await store.list()), ["192.0.2.1"]);
      }));

    it("goes on while logins renew what it is about to delete", () =>
      withStore(async (store, { open }) => {
        const writer = open();
        const now = Date.now();
        await store.authorize(crowd(300, now - LIFETIME - 5_000), now);
        const renewed = crowd(300, now).filter((_, i) => i % 2 === 0);
        const writing = async () => {
          for (let i = 0; i < renewed.length; i += 10) {
            await writer.authorize(renewed.slice(i, i + 10).toReversed(), now);
          }
        };
        await Promise.all([store.purge({ batchSize: 7 }), writing()]);
        await store.purge();
        assert.equal((await store.list({ all: true })).length, renewed.length);
      }));
  });

  it("knows how far its clock is from this host's", () =>
    withStore(async (store) => {
      assert.ok(Math.abs((await store.skew?.()) ?? 0) < 1_000);
    }));

  it("can be closed twice, and before it was used", async () => {
    const store = (await fresh()).open();
    await store.close();
    await store.close();
  });
}

/** User names that clients have, or that want to be something else. */
const HOSTILE_USERS: readonly (readonly [string, string])[] = [
  ["quotes", `o'brien "the" \`user\` \\' \\" {a,b} NULL`],
  ["SQL", "'; DROP TABLE popbsmtp; --"],
  ["newlines and tabs", "bob\nann\r\tx"],
  ["a slash and dots", "../../etc/passwd"],
  ["terminal escapes", "\u001b[31mred\u001b]0;title\u0007"],
  ["255 bytes of UTF-8", "ü".repeat(127) + "x"],
  ["characters outside the BMP", "👩‍🚀 𝔘𝔫𝔦"],
  ["placeholders", "? $1 :name %s ${x}"],
];

function login(
  from: string,
  { user = "bob", service = "imap", time }: Partial<Login> & { readonly time: number },
): Login {
  return { address: address(from), user, service, time };
}

function crowd(count: number, time: number): Login[] {
  return Array.from({ length: count }, (_, i) =>
    login(`198.51.${String(100 + (i >> 8))}.${String(i & 255)}`, { time }),
  );
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

function addresses(rows: readonly Authorization[]): readonly string[] {
  return rows.map((row) => row.address);
}
