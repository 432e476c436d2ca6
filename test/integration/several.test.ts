/**
 * Two stores, PostgreSQL and SQLite, through the built program: one stops, hangs or leaves, and
 * neither logins nor the other notice.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { install, type Installation } from "../support/installation.ts";
import { createSqliteFile, serverRows, sqliteRows, type Row } from "../support/tables.ts";
import { assertRecorded, logIn, startLoad } from "../support/post-login-load.ts";
import { run } from "../support/run.ts";
import { askPolicy, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { inSoak, soakTest } from "../support/soak.ts";

interface Pair extends AsyncDisposable {
  readonly box: Installation;
  readonly server: DatabaseServer;
  /** What PostgreSQL has. */
  readonly pgsql: () => Promise<readonly Row[]>;
  /** What SQLite has. */
  readonly sqlite: () => readonly Row[];
  /** How many logins wait for one of the two. */
  waiting(): number;
  /** Takes PostgreSQL out of the configuration. */
  leaveSqlite(): void;
}

async function pair(top = ""): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install("pgsql", top));
  const { server } = box;
  assert.ok(server !== undefined);
  const [head = "", pgsql = ""] = readFileSync(box.config, "utf8").split("[store]\n");
  const sqlite = `driver = "sqlite"\npath = "${box.database}"\n`;
  const both = `[[store]]\n${pgsql}[[store]]\n${sqlite}`;
  writeFileSync(box.config, head + both);
  await createSqliteFile(box.database, box.user.name);
  const stores = join(box.spool, "stores");
  const resources = stack.move();
  return {
    box,
    server,
    pgsql: () => serverRows(server),
    sqlite: () => sqliteRows(box.database),
    waiting: () =>
      existsSync(stores)
        ? readdirSync(stores, { recursive: true, encoding: "utf8" }).filter((name) =>
            /\/\d+\.\d+$/.test(name),
          ).length
        : 0,
    leaveSqlite: () => {
      const text = readFileSync(box.config, "utf8");
      assert.ok(text.includes(both));
      writeFileSync(box.config, text.replace(both, `[store]\n${sqlite}`));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/**
 * A login through the wrapper, which may wait for its commit for a while. Returns what was said
 * about it.
 */
async function login(box: Installation, user: string): Promise<string> {
  const env = { IP: "192.0.2.1", USER: user };
  const { status, stderr } = await box.wrapper(env, ["--wait", "4000", "/bin/true"]);
  assert.equal(status, 0);
  return stderr.toString();
}

async function until(
  read: () => readonly Row[] | Promise<readonly Row[]>,
  users: readonly string[],
): Promise<void> {
  await waitUntil(`${users.join(", ")} to be in the store`, async () => {
    const there = new Set((await read()).map(({ user }) => user));
    return users.every((user) => there.has(user));
  });
}

type Fault = readonly [
  string,
  readonly [(server: DatabaseServer) => Promise<void>, (server: DatabaseServer) => Promise<void>],
];

const faults: Readonly<Record<"stopped" | "hung", Fault>> = {
  stopped: ["is stopped", [(server) => server.stop(), (server) => server.start()]],
  hung: ["hangs", [async (server) => server.pause(), async (server) => server.resume()]],
};

describe("a login through the wrapper", () => {
  for (const [fault, [begin, end]] of [faults.stopped, ...inSoak(faults.hung)]) {
    it(`is in the one store at once while the other ${fault}, and in that one when it is back`, async () => {
      await using there = await pair();
      const { box, server } = there;
      await login(box, "first");
      await until(there.pgsql, ["first"]);
      const users = ["a", "b", "c", "d", "e"];
      const start = Date.now();
      await begin(server);
      for (const user of users) {
        // a server that hangs is waited for 5 s, and nobody waits for that
        assert.equal(await login(box, user), "");
        assert.ok(there.sqlite().some((row) => row.user === user));
      }
      const stop = Date.now();
      assert.equal(there.waiting(), users.length);
      await end(server);
      await until(there.pgsql, users);
      for (const row of await there.pgsql()) {
        const time = Date.parse(row.lastSeen);
        assert.equal(row.logins, 1);
        assert.ok(row.user === "first" || (start <= time && time <= stop), row.user);
      }
      await waitUntil("nothing to wait", () => there.waiting() === 0);
    });
  }

  soakTest("is in both stores although every drain is killed while one is away", async () => {
    await using there = await pair();
    const { box, server } = there;
    await login(box, "first");
    await server.stop();
    const users = ["a", "b", "c", "d"];
    for (const user of users) {
      await login(box, user);
      await box.killDrains();
    }
    await server.start();
    await box.popbsmtp("drain");
    for (const read of [there.pgsql, there.sqlite]) {
      const rows = await read();
      assert.deepEqual(rows.map((row) => row.user).toSorted(), [...users, "first"]);
      assert.ok(rows.every(({ logins }) => logins === 1));
    }
    assert.equal(there.waiting() + box.waiting().length, 0);
  });

  it("keeps a drain that need not linger at work until the store that is away has it", async () => {
    await using there = await pair('linger = "0s"');
    const { box, server } = there;
    await server.stop();
    await login(box, "ann");
    await until(there.sqlite, ["ann"]);
    await server.start();
    await until(there.pgsql, ["ann"]);
    await waitUntil("the drain to leave", () => box.drains().length === 0);
  });
});

describe("the daemon", () => {
  for (const [fault, [begin, end]] of [faults.hung, ...inSoak(faults.stopped)]) {
    it(`lets users in and mail go while a store ${fault}, loses nothing when it is killed, and writes all of it later`, async () => {
      await using there = await pair();
      const { box, server } = there;
      await using serve = await startServe(box);
      const before = await logIn(serve.imap, "198.51.100.1", "before");
      await begin(server);
      const load = startLoad(serve.imap, { every: 10 });
      await waitUntil("logins", () => load.made.length > 50);
      assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
      assert.equal(await askPolicy(serve.policy, "198.51.100.2"), "DUNNO");
      await load.stop();
      assert.deepEqual(load.failed, []);
      // what is in memory only dies with it
      await serve.kill9();
      await serve.start();
      assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
      const after = await logIn(serve.imap, "198.51.100.3", "after");
      const made = [before, ...load.made, after];
      await until(there.sqlite, ["after"]);
      assertRecorded(made, there.sqlite());
      await waitUntil("the logins to wait for the other store", () => there.waiting() > 50);
      await end(server);
      await until(
        there.pgsql,
        made.map(({ user }) => user),
      );
      assertRecorded(made, await there.pgsql());
      assert.equal(await serve.stop(), 0);
    });
  }

  it("says which store is away, and that it is back", async () => {
    await using there = await pair();
    await using serve = await startServe(there.box);
    await there.server.stop();
    await logIn(serve.imap, "192.0.2.1", "ann");
    const away = / warning store-away store="pgsql [^"]*" reason=.*ECONNREFUSED/;
    await waitUntil("word of the outage", () => away.test(serve.log()));
    await there.server.start();
    await waitUntil("word of its end", () => / info store-back store="pgsql /.test(serve.log()));
    assert.doesNotMatch(serve.log(), /store="sqlite/);
  });

  it("gives a store's logins to the others when a reload takes it away", async () => {
    await using there = await pair();
    const { box, server } = there;
    await using serve = await startServe(box);
    await server.stop();
    const login1 = await logIn(serve.imap, "192.0.2.1", "ann");
    await waitUntil("it to wait", () => there.waiting() === 1);
    there.leaveSqlite();
    assert.match(await serve.reload(), / info reloaded$/);
    await waitUntil("nothing to wait", () => there.waiting() + box.waiting().length === 0);
    const login2 = await logIn(serve.imap, "192.0.2.2", "bob");
    assertRecorded([login1, login2], there.sqlite());
    assert.ok(there.sqlite().every(({ logins }) => logins === 1));
  });
});

describe("the commands", () => {
  it("do what can be done while one store is away, and say what was not done there", async () => {
    await using there = await pair();
    const { box, server } = there;
    const popbsmtp = async (...args: readonly string[]) => {
      const { status, stdout, stderr } = await run(box.program, ["--config", box.config, ...args]);
      return { status, out: stdout.toString(), err: stderr.toString() };
    };
    await server.stop();
    const allowed = await popbsmtp("allow", "192.0.2.1");
    assert.match(allowed.out, /^192\.0\.2\.1 may relay until /);
    assert.match(
      allowed.err,
      /^popbsmtp: store: pgsql .*ECONNREFUSED.*; the login is kept in its spool\n$/,
    );
    assert.equal(allowed.status, 0);
    assert.equal((await popbsmtp("check", "192.0.2.1")).status, 0);
    const unknown = await popbsmtp("check", "192.0.2.2");
    assert.deepEqual([unknown.status, unknown.out], [75, ""]);
    const listed = await popbsmtp("list", "--json");
    assert.deepEqual([listed.status, JSON.parse(listed.out).length], [0, 1]);
    assert.match(
      listed.err,
      /^popbsmtp: store: pgsql .*; its authorizations are not in this list\n$/,
    );
    const drained = await popbsmtp("drain");
    assert.equal(drained.status, 75);
    const examined = await popbsmtp("doctor");
    assert.match(
      examined.out,
      /  problem {2}1 login waiting for pgsql \S+ popbsmtp only, the oldest /,
    );
    const revoked = await popbsmtp("revoke", "192.0.2.1");
    assert.match(revoked.err, /store: pgsql .*; the other stores have done it\n$/);
    assert.equal(revoked.status, 75);
    assert.deepEqual(there.sqlite(), []);

    await server.start();
    assert.equal((await popbsmtp("revoke", "192.0.2.1")).status, 0);
    assert.equal(there.waiting(), 0);
    assert.deepEqual(await there.pgsql(), []);
    assert.match((await popbsmtp("doctor")).out, /  ok {7}no logins waiting/);
  });

  it("print and install the tables of each, and a map that asks the first", async () => {
    await using there = await pair();
    const { box } = there;
    const printed = await box.popbsmtp("schema", "print");
    assert.match(printed, /^-- pgsql [^]*\n-- sqlite [^]*/);
    assert.match(printed, /TIMESTAMPTZ|timestamptz/);
    assert.match(printed, /PRAGMA journal_mode/);
    const installed = await box.popbsmtp("schema", "install");
    assert.match(installed, /sqlite .*: schema version \d+ is already installed\n/);
    assert.match(installed, /pgsql .*: schema version \d+ is already installed\n/);
    const map = await box.popbsmtp("print", "postfix", "map");
    assert.match(map, /^# Of several stores, this asks pgsql /);
    assert.match(map, /^dbname = /m);
  });
});
