/**
 * A server whose clock is wrong, or whose host's clock is set: callers only ever see this host's.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import type { Store } from "../../src/stores/store.ts";
import { makeClock, type Clock } from "../support/clock.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { LIFETIME, serverSubject, twoColumns, type Mapped } from "./subject.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What a clock may lose in whole seconds and on the way. Milliseconds. */
const TOLERANCE_MS = 1_500;

const starts = { pgsql: startPostgres, mysql: startMariadb } as const;

/** A table of the administrator's own, whose times are without zone. */
const own: Record<keyof typeof starts, Mapped> = {
  pgsql: {
    columns: twoColumns("host", "accessed"),
    create: (table) => `CREATE TABLE ${table} (host text PRIMARY KEY, accessed timestamp)`,
  },
  mysql: {
    columns: twoColumns("address", "last_seen"),
    create: (table) =>
      `CREATE TABLE ${table} (address varchar(39) PRIMARY KEY, last_seen datetime)`,
  },
};

for (const driver of ["pgsql", "mysql"] as const) {
  let directory: TemporaryDirectory;
  let clock: Clock;
  let server: DatabaseServer;
  before(async () => {
    directory = temporaryDirectory({ mode: 0o755 });
    clock = await makeClock(directory.path);
    server = await starts[driver]({ env: clock.env });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  for (const mapped of [undefined, own[driver]]) {
    const fresh = async (test: (store: Store) => Promise<void>) => {
      const store = (await serverSubject(driver, server, mapped)).open();
      try {
        await store.install();
        await test(store);
      } finally {
        clock.set(0);
        await store.close();
      }
    };

    for (const ahead of [HOUR, -HOUR]) {
      const where = `${driver}, ${mapped === undefined ? "its own table" : "a mapped table"}`;
      describe(`${where}, a clock that is off by ${String(ahead / MINUTE)} minutes`, () => {
        it("is not seen in the times that are returned", () =>
          fresh(async (store) => {
            clock.set(ahead);
            const now = Date.now();
            await store.authorize([login("192.0.2.1", now - 10 * MINUTE)], now);
            const found = await store.lookup(address("192.0.2.1"));
            near(found?.lastSeen, now - 10 * MINUTE);
            if (mapped === undefined) near(found?.firstSeen, now - 10 * MINUTE);
            near((await store.list())[0]?.lastSeen, now - 10 * MINUTE);
            near((await store.count()).oldest, now - 10 * MINUTE);
          }));

        it("ends an authorization when it is due all the same", () =>
          fresh(async (store) => {
            clock.set(ahead);
            const now = Date.now();
            await store.authorize(
              [
                login("192.0.2.1", now - LIFETIME + MINUTE),
                login("192.0.2.2", now - LIFETIME - MINUTE),
              ],
              now,
            );
            assert.ok((await store.lookup(address("192.0.2.1"))) !== undefined);
            assert.equal(await store.lookup(address("192.0.2.2")), undefined);
            const all = await store.list({ all: true });
            near(all[1]?.lastSeen, now - LIFETIME - MINUTE);
          }));

        it("is told when somebody asks for it", () =>
          fresh(async (store) => {
            clock.set(ahead);
            const skew = await store.skew?.();
            assert.ok(skew !== undefined && Math.abs(skew - ahead) < TOLERANCE_MS, String(skew));
          }));
      });
    }
  }
}

function near(actual: Date | undefined, expected: number): void {
  assert.ok(actual !== undefined);
  const off = actual.getTime() - expected;
  assert.ok(Math.abs(off) <= TOLERANCE_MS, `${actual.toISOString()} is off by ${String(off)} ms`);
}

function login(from: string, time: number) {
  return { address: address(from), user: "bob", service: "imap", time };
}

function address(text: string) {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}
