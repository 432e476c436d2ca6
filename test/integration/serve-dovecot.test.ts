/**
 * Dovecot 2.3 and the daemon, set up as `popbsmtp print dovecot` says: Dovecot's master starts it,
 * or it was there before.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "pg";
import { Conversation } from "../support/conversation.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { freePort } from "../support/free-port.ts";
import { install, type Driver, type Installation } from "../support/installation.ts";
import { runOk } from "../support/run.ts";
import { isAlive } from "../support/server-process.ts";
import { askPolicy, configureServe, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/**
 * Nothing here is about the deadline: what is recorded is in the store at once, however busy the
 * machine.
 */
const PATIENT = 'deadline = "30s"';

/**
 * What the user database says about everybody: a name with slashes, one without "=", and one with
 * any byte a client likes.
 */
const FIELDS = ["imap_capability=%u", "namespace/own/prefix=Own/", "namespace/concealed/hidden"];

const NAMESPACES = `
namespace inbox {
  inbox = yes
  separator = /
}
namespace own {
  prefix = Default/
  separator = /
  location = maildir:~/own
}
namespace concealed {
  prefix = Concealed/
  separator = /
  location = maildir:~/concealed
}
`;

/**
 * Tab, newline, carriage return, what Dovecot escapes those with, an equals sign, a slash, and what
 * is not UTF-8.
 */
const ANY_BYTES = Buffer.from(
  "IMAP4rev1 NAMESPACE a\tb\nc\rd\u0001te=/\u00e9\u00ff\u0080",
  "latin1",
);

const logins = [
  { protocol: "imap", from: "127.0.0.5", version: "IPv4" },
  { protocol: "pop3", from: "127.0.0.7", version: "IPv4" },
  { protocol: "imap", from: "::1", version: "IPv6" },
  { protocol: "pop3", from: "::1", version: "IPv6" },
] as const;

/** Popbsmtp and Dovecot as they work together. */
interface Site extends AsyncDisposable {
  readonly box: Installation;
  readonly dovecot: Dovecot;
}

/** Dovecot's master has started the daemon. */
async function owned(driver: Driver): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install(driver));
  configureServe(box, PATIENT);
  const config = await box.popbsmtp("print", "dovecot", "post-login");
  const dovecot = stack.use(
    await startDovecot({ userdbFields: FIELDS, config: NAMESPACES + config }),
  );
  await waitUntil("the daemon to drain", () => isAlive(daemon(box)));
  return site(box, dovecot, stack.move());
}

/** The daemon is somebody else's. */
async function alone(driver: Driver): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install(driver));
  stack.use(await startServe(box, PATIENT));
  const config = await box.popbsmtp("print", "dovecot", "systemd");
  const dovecot = stack.use(
    await startDovecot({ userdbFields: FIELDS, config: NAMESPACES + config }),
  );
  return site(box, dovecot, stack.move());
}

function site(box: Installation, dovecot: Dovecot, resources: AsyncDisposableStack): Site {
  return { box, dovecot, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

for (const [form, start, driver] of [
  ["owned by Dovecot's master", owned, "mysql"],
  ["on its own", alone, "sqlite"],
] as const) {
  test(`the daemon, ${form}`, async (t) => {
    await using there = await start(driver);
    const { box, dovecot } = there;

    for (const { protocol, from, version } of logins) {
      await t.test(
        `a login over ${protocol} and ${version} is in the store before it is answered`,
        async () => {
          const user = `${protocol}-${version}`;
          using client = await dovecot[protocol]({ from });
          await client.login(user, dovecot.password);
          const row = (await box.rows()).find((other) => other.user === user);
          assert.deepEqual([row?.address, row?.service, row?.logins], [from, protocol, 1]);
          await client.logout();
        },
      );
    }

    await t.test("what the user database says arrives in the mail process exactly", async () => {
      await using without = await startDovecot({ userdbFields: FIELDS, config: NAMESPACES });
      const bare = await conversation(without);
      assert.ok(bare.includes(ANY_BYTES));
      assert.match(bare.toString("latin1"), /^\* NAMESPACE .*"Own\/"/m);
      assert.doesNotMatch(bare.toString("latin1"), /"(?:Default|Concealed)\/"/);
      assert.deepEqual(await conversation(dovecot), bare);
      const { user } = (await box.rows()).find((row) => row.user.startsWith("IMAP4")) ?? {};
      assert.ok(user !== undefined, "that login, too, is in the store");
    });
  });
}

/** All that is answered to somebody of a strange name who asks for the namespaces. */
async function conversation({ imapPort, password }: Dovecot): Promise<Buffer> {
  using client = await Conversation.open({ host: "127.0.0.1", port: imapPort });
  await client.expect(/^\* OK .*\r\n/);
  const plain = Buffer.concat([Buffer.of(0), ANY_BYTES, Buffer.from(`\0${password}`)]);
  client.send(`a1 AUTHENTICATE PLAIN ${plain.toString("base64")}`);
  await client.expect(/ Logged in\r\n/);
  client.send("a2 NAMESPACE");
  await client.expect(/^a2 OK .*\r\n/m);
  return client.received;
}

test("a login is answered when its row is committed, and not before", async () => {
  await using there = await owned("pgsql");
  const { box, dovecot } = there;
  await using table = await lockTable(box);
  using client = await dovecot.imap();
  const answered = client.login("bob", dovecot.password);
  await table.awaited();
  assert.doesNotMatch(client.received.toString("latin1"), /Logged in/);
  await table.unlock();
  await answered;
  assert.equal((await box.rows()).length, 1);
});

test("a login that is in hand while Dovecot reloads is answered, and the next by another daemon", async () => {
  await using there = await owned("pgsql");
  const { box, dovecot } = there;
  const replaced = daemon(box);
  await using table = await lockTable(box);
  using client = await dovecot.imap();
  const answered = client.login("in hand", dovecot.password);
  await table.awaited();
  await runOk("doveadm", ["-c", join(dovecot.directory, "dovecot.conf"), "reload"]);
  const ready = () => dovecot.log().match(/popbsmtp: Info: ready /g)?.length;
  await waitUntil("the other daemon to be ready", () => ready() === 2);
  await table.unlock();
  await answered;
  await waitUntil("the daemon to end", () => !isAlive(replaced));
  await logIn(there, "next");
  await assertRecorded(box, ["in hand", "next"]);
  await waitUntil("the other daemon to drain the spool", () => daemon(box) !== replaced);
});

test("reloads of Dovecot's within a second leave one daemon, and refuse nobody's login", async () => {
  await using there = await owned("sqlite");
  const { box, dovecot } = there;
  const policy = join(box.directory, "run", "policy");
  const users: string[] = [];
  for (let round = 0; round < 3; round++) {
    for (let times = 0; times < 4; times++) {
      await runOk("doveadm", ["-c", join(dovecot.directory, "dovecot.conf"), "reload"]);
    }
    const user = `round ${round}`;
    users.push(user);
    // Dovecot's own imap-login says BYE while it is replaced; whoever waits for the daemon is told
    // nothing for as long
    const logsIn = async () => {
      await logIn(there, user);
      return true;
    };
    await waitUntil("a login", logsIn, { timeout: 5_000 });
  }
  // nor is there anything but Dovecot's own trouble with so many
  assert.doesNotMatch(
    dovecot.log(),
    /(?:imap|pop3)\([^)]*\)(?!: Error: auth-master:).*Error|popbsmtp: (?:Error|Fatal)/,
  );
  await assertRecorded(box, users);
  await waitUntil("one daemon to be left", () => daemons(box).length === 1, { timeout: 30_000 });
  await waitUntil("it to drain the spool", () => daemon(box) === daemons(box)[0]);
  await waitUntil("it to have the policy socket", async () => {
    return (await askPolicy(policy, "127.0.0.1")) === "OK";
  });
});

interface LockedTable extends AsyncDisposable {
  /** Resolves when somebody waits for it. */
  awaited(): Promise<void>;
  unlock(): Promise<void>;
}

/** Nobody can write to the table, in PostgreSQL, for now. */
async function lockTable({ server }: Installation): Promise<LockedTable> {
  assert.ok(server !== undefined);
  const { socket: host, port, database } = server;
  const client = new Client({ host, port, database, user: "postgres", ssl: false });
  await client.connect();
  await client.query("BEGIN; LOCK TABLE popbsmtp IN EXCLUSIVE MODE");
  return {
    awaited: () =>
      waitUntil("somebody to wait for the table", async () => {
        const { rows } = await client.query("SELECT FROM pg_locks WHERE NOT granted");
        return rows.length > 0;
      }),
    unlock: async () => void (await client.query("ROLLBACK")),
    [Symbol.asyncDispose]: () => client.end(),
  };
}

test("a port that Dovecot's master holds is nobody else's, though the daemon is killed again and again", async () => {
  await using box = await install("sqlite");
  configureServe(box, PATIENT);
  const port = await freePort();
  const place = { host: "127.0.0.1", port };
  const config = (await box.popbsmtp("print", "dovecot", "post-login")).replace(
    "unix_listener popbsmtp-imap {",
    `inet_listener popbsmtp-policy {\n address = ${place.host}\n port = ${port}\n }\n$&`,
  );
  await using dovecot = await startDovecot({ config });
  for (let times = 0; times < 5; times++) {
    using client = await dovecot.imap({ from: "127.0.0.5" });
    await client.login("bob", dovecot.password);
    await waitUntil("the daemon to drain", () => isAlive(daemon(box)));
    const killed = daemon(box);
    process.kill(killed, "SIGKILL");
    const asked = askPolicy(place, "127.0.0.5");
    for (let tries = 0; tries < 100; tries++) {
      const thief = createServer().listen(port, place.host);
      await assert.rejects(once(thief, "listening"), { code: "EADDRINUSE" });
    }
    assert.equal(await asked, "OK");
    await waitUntil("another daemon", () => daemon(box) !== killed);
  }
});

test("under Dovecot's master", async (t) => {
  await using there = await owned("sqlite");
  const { box, dovecot } = there;

  await t.test("the daemon is the configured user's, and drains the spool", async () => {
    await logIn(there, "bob");
    const status = readFileSync(`/proc/${daemon(box)}/status`, "utf8");
    const { uid, gid } = box.user;
    assert.match(status, new RegExp(`^Uid:(?:\\t${uid}){4}$`, "m"));
    assert.match(status, new RegExp(`^Gid:(?:\\t${gid}){4}$`, "m"));
  });

  await t.test("killed, it is started again, and logins wait until it is there", async () => {
    const killed = daemon(box);
    process.kill(killed, "SIGKILL");
    const users = Array.from({ length: 10 }, (_, number) => `after-kill-${number}`);
    await Promise.all(users.map((user) => logIn(there, user)));
    await assertRecorded(box, users);
    assert.notEqual(daemon(box), killed);
  });

  await t.test("it never says anything that Dovecot takes for an error", () => {
    const errors = dovecot
      .log()
      .split("\n")
      .filter((line) => /: (?:Error|Fatal|Panic): /.test(line));
    assert.deepEqual(
      errors.filter((line) => !line.includes("killed with signal 9")),
      [],
    );
  });

  await t.test("the master's end, however sudden, ends it, in good order", async () => {
    const last = daemon(box);
    const policy = join(box.directory, "run", "policy");
    assert.ok(existsSync(policy));
    const master = Number(readFileSync(join(dovecot.directory, "run", "master.pid"), "utf8"));
    process.kill(master, "SIGKILL");
    await waitUntil("the daemon to end", () => !isAlive(last));
    assert.ok(!existsSync(policy));
    assert.ok(!existsSync(join(box.spool, ".drain")));
  });
});

async function logIn({ dovecot }: Site, user: string): Promise<void> {
  using client = await dovecot.imap();
  await client.login(user, dovecot.password);
}

async function assertRecorded(box: Installation, users: readonly string[]): Promise<void> {
  const rows = new Set((await box.rows()).map(({ user }) => user));
  assert.deepEqual(
    users.filter((user) => !rows.has(user)),
    [],
  );
}

/** All of the installation's, at work or not. */
function daemons({ config }: Installation): readonly number[] {
  const words = `--config\0${config}\0serve\0`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(words))
    .map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // it has ended
    return "";
  }
}

/** Its process id, as wrappers are told. */
function daemon(box: Installation): number {
  return Number.parseInt(readFileSync(join(box.spool, ".pid"), "utf8"), 10);
}
