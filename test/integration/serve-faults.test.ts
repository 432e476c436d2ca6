/**
 * The daemon while its store is stopped, hangs, refuses the password or is slow, and for SQLite
 * what there is of that: logins go on, and so does mail. One Postfix asks the daemons of all three
 * stores; each client is known to one of them at most.
 */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it, type TestContext } from "node:test";
import { startDelayProxy } from "../support/delay-proxy.ts";
import { DRIVERS, install, type Driver, type Installation } from "../support/installation.ts";
import { assertRecorded, logIn, slowest, startLoad } from "../support/post-login-load.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { askPolicy, startServe, type Serve } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const OUTSIDE = "somebody@example.net";
const INSIDE = "somebody@example.org";

/** So many logins come while the store is away: two seconds' worth. */
const LOGINS = 400;

/**
 * How long a slow store's every answer takes, and every question: more than the deadline.
 * Milliseconds.
 */
const DISTANCE_MS = 300;

/** popbsmtp as installed, with its daemon. */
interface Place {
  readonly box: Installation;
  readonly serve: Serve;
}

/** What goes wrong with a store, until it is disposed of. */
interface Fault {
  readonly store: string;
  begin(place: Place): Promise<AsyncDisposable>;
}

const stopped: Fault = {
  store: "stopped",
  begin: async ({ box: { server } }) => {
    await server?.stop();
    return ending(async () => await server?.start());
  },
};

const hung: Fault = {
  store: "hung",
  begin: async ({ box: { server } }) => {
    server?.pause();
    return ending(async () => server?.resume());
  },
};

function refusing(alter: (password: string) => string, disconnect: string): Fault {
  return {
    store: "refusing the password",
    begin: async ({ box: { server } }) => {
      await server?.query(alter("another one"));
      await server?.query(disconnect);
      return ending(async () => void (await server?.query(alter(server.password))));
    },
  };
}

const slow: Fault = {
  store: "slow",
  begin: async ({ box: { server, config }, serve }) => {
    assert.ok(server !== undefined);
    const proxy = await startDelayProxy(server.port);
    const text = readFileSync(config, "utf8");
    writeFileSync(config, text.replace(`port = ${server.port}`, `port = ${proxy.port}`));
    assert.match(await serve.reload(), / reloaded$/);
    proxy.delay = DISTANCE_MS;
    return ending(async () => {
      writeFileSync(config, text);
      assert.match(await serve.reload(), / reloaded$/);
      await proxy[Symbol.asyncDispose]();
    });
  },
};

const locked: Fault = {
  store: "locked by another writer",
  begin: async ({ box }) => {
    const other = new DatabaseSync(box.database, { timeout: 5_000 });
    other.exec("BEGIN EXCLUSIVE");
    return ending(async () => other.close());
  },
};

const moved: Fault = {
  store: "moved away",
  begin: async ({ box }) => {
    const directory = dirname(box.database);
    renameSync(directory, `${directory}.away`);
    return ending(async () => renameSync(`${directory}.away`, directory));
  },
};

const FAULTS: Readonly<Record<Driver, readonly Fault[]>> = {
  pgsql: [
    stopped,
    hung,
    refusing(
      (password) => `ALTER ROLE popbsmtp PASSWORD '${password}'`,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
    ),
    slow,
  ],
  mysql: [
    stopped,
    hung,
    refusing(
      (password) =>
        `ALTER USER popbsmtp@'%' IDENTIFIED BY '${password}', popbsmtp@localhost IDENTIFIED BY '${password}'`,
      "KILL USER popbsmtp",
    ),
    slow,
  ],
  sqlite: [locked, moved],
};

function ending(end: () => Promise<void>): AsyncDisposable {
  return { [Symbol.asyncDispose]: end };
}

describe("the daemon, whatever its store does", { concurrency: DRIVERS.length }, () => {
  const places = new Map<Driver, Place>();
  const stack = new AsyncDisposableStack();
  let postfix: Postfix;

  before(async () => {
    await Promise.all(
      DRIVERS.map(async (driver) => {
        const box = stack.use(await install(driver));
        places.set(driver, { box, serve: stack.use(await startServe(box)) });
      }),
    );
    const asks = [...places.values()].map(
      ({ serve }) =>
        `check_policy_service { unix:${serve.policy}, timeout=2s, default_action=DUNNO },`,
    );
    postfix = stack.use(
      await startPostfix({
        mainCf: `smtpd_relay_restrictions = permit_auth_destination, ${asks.join(" ")} defer_unauth_destination\n`,
      }),
    );
  });
  after(() => stack.disposeAsync());

  const code = async (from: string, to: string) => (await postfix.rcpt({ from, to })).code;

  for (const [net, driver] of DRIVERS.entries()) {
    it(driver, async (t) => {
      const place = places.get(driver);
      assert.ok(place !== undefined);
      for (const [number, fault] of FAULTS[driver].entries()) {
        const client = (host: number) => `127.0.${net + 1}.${number * 10 + host}`;
        await t.test(
          `${driver} ${fault.store}: every login goes on and is recorded with its own time, and mail flows`,
          (context) => goesOn(context, place, fault, client),
        );
      }
      await t.test(
        `${driver} away when the daemon starts: every login goes on and is recorded`,
        () => startsWithout(place),
      );
    });
  }

  async function goesOn(
    t: TestContext,
    place: Place,
    fault: Fault,
    client: (host: number) => string,
  ): Promise<void> {
    const { box, serve } = place;
    const [known, elsewhere, stranger] = [client(1), client(2), client(3)];
    await logIn(serve.imap, known, `${fault.store} bob`);
    // as another host does, of whose logins this daemon learns from the store
    await box.popbsmtp("allow", elsewhere, "--user", `${fault.store} eve`);
    const mailFlows = async () => {
      assert.equal(await code(known, OUTSIDE), 250, "who logged in here may relay");
      assert.equal(await code(elsewhere, OUTSIDE), 250, "who logged in elsewhere may relay");
      assert.equal(await code(stranger, OUTSIDE), 454, "nobody else may");
      for (const from of [known, stranger]) assert.equal(await code(from, INSIDE), 250, "inbound");
    };
    // after an outage the store is asked one question a second until it has answered one
    await waitUntil("the store to be asked again", async () => {
      return (await code(elsewhere, OUTSIDE)) === 250;
    });
    await mailFlows();

    await using load = startLoad(serve.imap, { name: `${fault.store} ` });
    {
      await using _ = await fault.begin(place);
      await waitUntil("the outage to be noticed", () => box.waiting().length > 0);
      const enough = load.made.length + LOGINS;
      while (load.made.length < enough && load.failed.length === 0) await mailFlows();
    }
    await load.stop();
    t.diagnostic(slowest(load.made));
    assert.deepEqual(load.failed, []);
    await mailFlows();
    await waitUntil("the spool to be drained", () => box.waiting().length === 0, {
      timeout: 30_000,
    });
    assertRecorded(load.made, await box.rows());
  }
});

async function startsWithout({ box, serve }: Place): Promise<void> {
  assert.equal(await serve.stop(), 0);
  const directory = dirname(box.database);
  if (box.server === undefined) renameSync(directory, `${directory}.away`);
  else await box.server.stop();
  await serve.start();
  await using load = startLoad(serve.imap, { name: "early " });
  await waitUntil("logins to be made", () => load.made.length + load.failed.length >= 100);
  const [first] = load.made;
  assert.ok(first !== undefined);
  assert.equal(await askPolicy(serve.policy, first.address), "OK");
  assert.equal(await askPolicy(serve.policy, "198.51.100.1"), "DUNNO");
  if (box.server === undefined) renameSync(`${directory}.away`, directory);
  else await box.server.start();
  await load.stop();
  assert.deepEqual(load.failed, []);
  await waitUntil("the spool to be drained", () => box.waiting().length === 0, { timeout: 30_000 });
  assertRecorded(load.made, await box.rows());
}
