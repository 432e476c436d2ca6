import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { StoreAwayError } from "../../src/lib/errors.ts";
import type { Login } from "../../src/login/login.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import { RevocableStore } from "../../src/stores/revocable-store.ts";
import type { Store } from "../../src/stores/store.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { waitUntil } from "../support/wait-until.ts";
import { LIFETIME, serverSubject, sqliteSubject, twoColumns } from "./subject.ts";

let directory: TemporaryDirectory;
let postgres: DatabaseServer;
let mariadb: DatabaseServer;
before(async () => {
  directory = temporaryDirectory();
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
  await mariadb[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const columns = { ...twoColumns("host", "seen"), user: "who" };
const create = (type: string) => ({
  columns,
  create: (table: string) =>
    `CREATE TABLE ${table} (host varchar(39), who varchar(100), seen ${type}, PRIMARY KEY (host, who))`,
});

/** Opens handles of a store without room for revocations, one after the other. */
const kinds: Record<string, () => Promise<() => Store>> = {
  pgsql: async () => (await serverSubject("pgsql", postgres, create("timestamptz"))).open,
  mysql: async () => (await serverSubject("mysql", mariadb, create("datetime"))).open,
  sqlite: () => Promise.resolve(sqliteSubject(directory.path, create("TEXT")).open),
  "relay-ctrl": async () => {
    const path = join(directory.path, randomUUID());
    const open = () => openStore({ driver: "relay-ctrl", path }, { lifetime: LIFETIME });
    await open().install();
    return open;
  },
};

interface Place {
  readonly spool: string;
  readonly open: () => Store;
}

async function withPlace(kind: string, test: (place: Place) => Promise<void>): Promise<void> {
  const spool = join(directory.path, randomUUID());
  mkdirSync(spool);
  const inner = await kinds[kind]?.();
  assert.ok(inner);
  const handles: Store[] = [];
  const open = () => {
    const store = new RevocableStore(inner(), spool);
    handles.push(store);
    return store;
  };
  try {
    await test({ spool, open });
  } finally {
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

function login(from: string, user: string, time: number): Login {
  const address = parseAddress(from);
  assert.ok(address);
  return { address, user, service: "imap", time };
}

const ADDRESS = login("192.0.2.1", "", 0).address;

for (const kind of Object.keys(kinds)) {
  describe(`a revocation in ${kind}, where there is no room for it`, () => {
    const revocations = {
      "an address": { address: ADDRESS },
      "a user": { user: "bob" },
      "a user at an address": { address: ADDRESS, user: "bob" },
    };
    for (const [what, which] of Object.entries(revocations)) {
      it(`of ${what} covers what this host writes later of before, and no login after it`, () =>
        withPlace(kind, async ({ open }) => {
          const [revoker, writer] = [open(), open()];
          const early = Date.now() - 60_000;
          const covered = login("192.0.2.1", "bob", early);
          const others = [login("192.0.2.2", "ann", early)];
          await writer.authorize([covered], Date.now());
          assert.equal(await revoker.revoke(which), 1);
          await writer.authorize([covered, ...others], Date.now());
          const found = async () => (await writer.list()).map(({ address }) => String(address));
          assert.deepEqual(await found(), ["192.0.2.2"]);
          const now = Date.now();
          await writer.authorize([login("192.0.2.1", "bob", now + 1)], now);
          assert.deepEqual((await found()).toSorted(), ["192.0.2.1", "192.0.2.2"]);
        }));
    }

    it("covers what is being written at the same moment", () =>
      withPlace(kind, async ({ open }) => {
        const revoker = open();
        const writers = Array.from({ length: 4 }, open);
        await Promise.all(writers.map((writer) => writer.list()));
        const batch = [login("192.0.2.1", "bob", Date.now() - 60_000)];
        const revoked = new AbortController();
        const writing = writers.map(async (writer) => {
          while (!revoked.signal.aborted) {
            await writer.authorize(batch, Date.now());
            await new Promise(setImmediate);
          }
        });
        await revoker.revoke({ user: "bob" });
        revoked.abort();
        await Promise.all(writing);
        assert.deepEqual(await revoker.list({ all: true }), []);
      }));
  });
}

it("a revocation waits for a login in hand, and not for a process that was killed", () =>
  withPlace("sqlite", async ({ spool, open }) => {
    const store = open();
    await store.authorize([], Date.now());
    const files = join(spool, ".revoked");
    const inHand = join(files, `writing.${process.pid}.1`);
    writeFileSync(inHand, "");
    // no process has this id
    writeFileSync(join(files, "writing.4194305.1"), "");
    let isDone = false;
    const revoking = store.revoke({ user: "bob" }).then(() => (isDone = true));
    const isRecorded = () => readdirSync(files).some((name) => /^\d+\./.test(name));
    await waitUntil("the revocation to be recorded", isRecorded);
    await new Promise(setImmediate);
    assert.equal(isDone, false);
    rmSync(inHand);
    await revoking;
    assert.equal(readdirSync(files).length, 1);
  }));

it("a revocation that cannot be recorded is carried out, and says that it may not last", () =>
  withPlace("sqlite", async ({ spool, open }) => {
    const store = open();
    await store.authorize([login("192.0.2.1", "bob", Date.now())], Date.now());
    rmSync(spool, { recursive: true });
    writeFileSync(spool, "");
    await assert.rejects(store.revoke({ user: "bob" }), (error: Error) => {
      assert.ok(error instanceof StoreAwayError);
      assert.match(
        error.message,
        /^spool: the revocation cannot be recorded: .*; 1 authorization ended, but logins that wait in a spool still count$/,
      );
      return true;
    });
    assert.deepEqual(await store.list(), []);
  }));

it("a login is not written where nobody can tell what was revoked", () =>
  withPlace("sqlite", async ({ spool, open }) => {
    const store = open();
    writeFileSync(join(spool, ".revoked"), "");
    const now = Date.now();
    await assert.rejects(
      store.authorize([login("192.0.2.1", "bob", now)], now),
      (error: Error) => error instanceof StoreAwayError && /cannot be read/.test(error.message),
    );
    assert.deepEqual(await store.list(), []);
  }));

it("a revocation from before the clock was set back holds up no new login, and an old one is forgotten", () =>
  withPlace("sqlite", async ({ spool, open }) => {
    const store = open();
    const files = join(spool, ".revoked");
    mkdirSync(files);
    const mark = JSON.stringify({ address: null, user: "bob" });
    const week = 7 * 86_400_000;
    const [ahead, old] = [Date.now() + 3_600_000, Date.now() - week - 1_000];
    for (const time of [ahead, old]) writeFileSync(join(files, `${time}.x`), mark);
    const now = Date.now();
    await store.authorize([login("192.0.2.1", "bob", now)], now);
    assert.equal((await store.list()).length, 1);
    await store.revoke({ user: "ann" });
    const times = readdirSync(files).map((name) => Number.parseInt(name, 10));
    assert.equal(times.length, 2);
    assert.ok(!times.includes(old));
  }));
