/**
 * What an authorization is worth while the daemon is at work: revoked, refused by the store, or
 * older than the clock says.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { makeClock } from "../support/clock.ts";
import { DRIVERS, install, type Driver, type Installation } from "../support/installation.ts";
import { run } from "../support/run.ts";
import {
  askPolicy,
  askSocket,
  postLoginRequest,
  startServe,
  type Serve,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { inSoak } from "../support/soak.ts";

const CLIENT = "192.0.2.1";

/** A busy machine may take its time. */
const PATIENCE = { timeout: 60_000 };

/** Logs somebody in past Dovecot. */
async function logIn({ imap }: Serve, user: string, address = CLIENT): Promise<void> {
  const answer = await askSocket(imap, postLoginRequest(address, user));
  assert.equal(answer.toString(), `${user}\n`);
}

/** The daemon drains: nobody else will, also while it is paused. */
async function atWork({ spool }: Installation): Promise<void> {
  await waitUntil("the daemon to drain", () => existsSync(join(spool, ".drain")), PATIENCE);
}

/** Puts a login of now into the spool, as a wrapper does, and leaves it to whoever drains. */
async function spoolLogin(box: Installation, user: string): Promise<void> {
  const { status } = await box.wrapper({ IP: CLIENT, USER: user });
  assert.equal(status, 0);
  assert.equal(box.waiting().length, 1);
}

async function answers({ policy }: Serve, answer: "OK" | "DUNNO", address = CLIENT): Promise<void> {
  await waitUntil(
    `the policy service to say ${answer}`,
    async () => (await askPolicy(policy, address)) === answer,
    PATIENCE,
  );
}

async function drained(box: Installation): Promise<void> {
  await waitUntil("the spool to be empty", () => box.waiting().length === 0, PATIENCE);
}

/** Takes the store away; the function returned brings it back. */
async function takeAway(box: Installation): Promise<() => Promise<void>> {
  const { server, database } = box;
  if (server !== undefined) {
    await server.stop();
    return () => server.start();
  }
  const directory = dirname(database);
  renameSync(directory, `${directory}.away`);
  return () => Promise.resolve(renameSync(`${directory}.away`, directory));
}

function revoke(box: Installation, ...which: readonly string[]) {
  return popbsmtp(box, "revoke", ...which);
}

async function popbsmtp(box: Installation, ...args: readonly string[]) {
  const done = await run(box.program, ["--config", box.config, ...args]);
  return { ...done, stdout: String(done.stdout), stderr: String(done.stderr) };
}

/** Makes the store refuse every row of the user "refused". */
const REFUSE: Record<Driver, string> = {
  pgsql: `ALTER TABLE popbsmtp ADD CHECK ("user" <> 'refused')`,
  mysql: "ALTER TABLE popbsmtp ADD CHECK (`user` <> 'refused')",
  sqlite:
    "CREATE TRIGGER refuse BEFORE INSERT ON popbsmtp WHEN new.\"user\" = 'refused' " +
    "BEGIN SELECT RAISE(ABORT, 'refused'); END",
};

for (const driver of [...DRIVERS, ...inSoak("relay-ctrl")] as const) {
  test(`${driver}: a revocation covers logins that the daemon has still to write`, async () => {
    await using box = await install(driver);
    await using serve = await startServe(box);
    await logIn(serve, "bob");
    await answers(serve, "OK");
    await drained(box);
    await atWork(box);
    serve.pause();
    await spoolLogin(box, "bob");
    const { status, stderr } = await revoke(box, "--user", "bob");
    assert.deepEqual([status, stderr], [0, ""]);
    serve.resume();
    await drained(box);
    assert.deepEqual(await box.rows(), []);
    await answers(serve, "DUNNO");
    await logIn(serve, "bob");
    await answers(serve, "OK");
    assert.equal((await box.rows()).length, 1);
  });
}

for (const driver of DRIVERS) {
  test(`${driver}: a revocation covers what the daemon knows from memory only`, async () => {
    await using box = await install(driver);
    await using serve = await startServe(box);
    const bringBack = await takeAway(box);
    await logIn(serve, "bob");
    assert.equal(box.waiting().length, 1);
    assert.equal(await askPolicy(serve.policy, CLIENT), "OK");
    assert.equal((await revoke(box, CLIENT)).status, 75);
    serve.pause();
    await bringBack();
    const { status, stdout } = await revoke(box, CLIENT);
    assert.deepEqual([status, stdout], [1, `${CLIENT}: no authorizations ended\n`]);
    serve.resume();
    await drained(box);
    await answers(serve, "DUNNO");
    assert.deepEqual(await box.rows(), []);
  });

  test(`${driver}: a login that the store refuses opens no relay`, async () => {
    await using box = await install(driver);
    await box.sql(REFUSE[driver]);
    await using serve = await startServe(box);
    const bad = join(box.spool, "bad");
    const setAside = () => (existsSync(bad) ? readdirSync(bad).length / 2 : 0);
    await Promise.all([logIn(serve, "refused"), logIn(serve, "good", "192.0.2.2")]);
    await answers(serve, "OK", "192.0.2.2");
    await waitUntil("the login to be set aside", () => setAside() === 1, PATIENCE);
    assert.equal(await askPolicy(serve.policy, CLIENT), "DUNNO");

    const bringBack = await takeAway(box);
    await logIn(serve, "refused", "192.0.2.3");
    assert.equal(await askPolicy(serve.policy, "192.0.2.3"), "OK");
    await bringBack();
    await waitUntil("the second one to be set aside", () => setAside() === 2, PATIENCE);
    await answers(serve, "DUNNO", "192.0.2.3");
  });
}

test("setting the clock back prolongs nothing that the daemon remembers", async () => {
  await using box = await install("sqlite", 'lifetime = "5s"');
  const clock = await makeClock(box.directory);
  await using serve = await startServe(box, "", clock.enter);
  await logIn(serve, "bob");
  await takeAway(box);
  clock.set(-2 * 3_600_000);
  assert.equal(await askPolicy(serve.policy, CLIENT), "OK");
  await answers(serve, "DUNNO");
});

test("a login that waited while the clock was set back does not count as one of now", async () => {
  await using box = await install("sqlite");
  const clock = await makeClock(box.directory);
  await using serve = await startServe(box, "", clock.enter);
  const bringBack = await takeAway(box);
  await logIn(serve, "bob");
  assert.equal(await askPolicy(serve.policy, CLIENT), "OK");
  clock.set(-2 * 3_600_000);
  await answers(serve, "DUNNO");
  await bringBack();
  await drained(box);
  const [name, why = ""] = readdirSync(join(box.spool, "bad")).toSorted();
  assert.equal(why, `${String(name)}.why`);
  await logIn(serve, "bob");
  await answers(serve, "OK");
});

test("a mapped table: a revocation covers this host, and says so", async () => {
  await using box = await install("pgsql");
  await box.sql("CREATE TABLE seen (host text PRIMARY KEY, at timestamptz)");
  await box.sql("GRANT ALL ON seen TO popbsmtp");
  const text = readFileSync(box.config, "utf8");
  writeFileSync(
    box.config,
    text.replace(
      'driver = "pgsql"\n',
      'driver = "pgsql"\ntable = "seen"\ncolumns = { address = "host", last-seen = "at" }\n',
    ),
  );
  await using serve = await startServe(box);
  await atWork(box);
  serve.pause();
  await spoolLogin(box, "bob");
  const { status, stderr } = await revoke(box, CLIENT);
  assert.equal(status, 1);
  assert.match(stderr, /the table seen has no room for revocations: .* Run it on every host/);
  serve.resume();
  await drained(box);
  assert.deepEqual(await box.rows(), []);
});

test("check and list say what Postfix is told: of an excluded address", async () => {
  await using box = await install("sqlite", 'exclude = ["198.51.100.0/24"]');
  await using serve = await startServe(box);
  const client = "198.51.100.7";
  const time = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
  await box.sql(`INSERT INTO popbsmtp VALUES ('${client}', 'bob', 'imap', ${time}, ${time}, 1)`);
  assert.equal(await askPolicy(serve.policy, client), "DUNNO");
  assert.equal((await popbsmtp(box, "check", client)).status, 1);
  assert.match((await popbsmtp(box, "list")).stdout, /^198\.51\.100\.7 .* excluded$/m);
  assert.equal((await popbsmtp(box, "list", "--json")).stdout, "[]\n");
  await serve.stop();
  assert.equal((await popbsmtp(box, "check", client)).status, 1);
  assert.equal((await popbsmtp(box, "relay", "--ask", client)).stdout, "NO\0\n");
});

for (const driver of DRIVERS) {
  test(`${driver}: check says what Postfix is told while the store is away`, async () => {
    await using box = await install(driver);
    await using serve = await startServe(box);
    await logIn(serve, "bob");
    await drained(box);
    const before = await popbsmtp(box, "check", CLIENT);
    assert.match(before.stdout, / may relay until .*last login of bob.*; asked: popbsmtp serve\n$/);
    const bringBack = await takeAway(box);
    const { status, stdout } = await popbsmtp(box, "check", CLIENT);
    assert.equal(await askPolicy(serve.policy, CLIENT), "OK");
    assert.equal(status, 0);
    assert.match(stdout, / may relay; asked: popbsmtp serve, which remembers a login \(store: /);
    const unknown = await popbsmtp(box, "check", "192.0.2.9");
    assert.deepEqual([unknown.status, unknown.stdout], [75, ""]);
    assert.match(
      unknown.stderr,
      /^popbsmtp: popbsmtp serve knows of no login: the store is away\n$/,
    );
    await serve.kill9();
    const alone = await popbsmtp(box, "check", CLIENT);
    assert.deepEqual([alone.status, alone.stdout], [75, ""]);
    await bringBack();
    assert.match((await popbsmtp(box, "check", CLIENT)).stdout, /; asked: the store\n$/);
  });
}
