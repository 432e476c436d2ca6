/**
 * The whole way of a login, on the real servers, with the configuration that `popbsmtp print`
 * prints: Dovecot runs the wrapper, a drain writes to the store, Postfix asks it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { waitUntil } from "../support/wait-until.ts";

const OUTSIDE = "somebody@example.net";
const INSIDE = "somebody@example.org";
const MAP = "/etc/postfix/popbsmtp.cf";

const logins = [
  { protocol: "imap", from: "127.0.0.5", version: "IPv4" },
  { protocol: "pop3", from: "127.0.0.7", version: "IPv4" },
  { protocol: "imap", from: "::1", version: "IPv6" },
  { protocol: "pop3", from: "::1", version: "IPv6" },
] as const;

/** A Postfix set up as `print postfix` says. */
async function postfixFor(box: Installation, mainCf = ""): Promise<Postfix> {
  return await startPostfix({
    mainCf: here(await box.popbsmtp("print", "postfix", "main")) + mainCf,
    files: { "popbsmtp.cf": await box.popbsmtp("print", "postfix", "map") },
  });
}

/** This Postfix' map file is not in /etc. */
function here(mainCf: string): string {
  return mainCf.replaceAll(MAP, "$config_directory/popbsmtp.cf");
}

async function dovecotFor(box: Installation): Promise<Dovecot> {
  return await startDovecot({ config: await box.popbsmtp("print", "dovecot", "2") });
}

/** Logs in, and out. */
async function readMail(
  dovecot: Dovecot,
  protocol: "imap" | "pop3",
  from: string,
  user = "bob",
): Promise<void> {
  using client = await dovecot[protocol]({ from });
  await client.login(user, dovecot.password);
  await client.logout();
}

async function code(postfix: Postfix, from: string, to: string): Promise<number> {
  return (await postfix.rcpt({ from, to })).code;
}

/** A login that nobody was there to drain does not wait for longer than 200 ms; so this does. */
async function opened(postfix: Postfix, from: string): Promise<void> {
  await waitUntil(`the relay to open for ${from}`, async () => {
    return (await code(postfix, from, OUTSIDE)) === 250;
  });
}

for (const driver of DRIVERS) {
  test(`through ${driver}`, async (t) => {
    await using box = await install(driver);
    await using dovecot = await dovecotFor(box);
    await using postfix = await postfixFor(box);

    for (const { protocol, from, version } of logins) {
      await t.test(`a login over ${protocol} and ${version} opens the relay`, async () => {
        assert.equal(await code(postfix, from, OUTSIDE), 454);
        assert.equal(await code(postfix, from, INSIDE), 250);
        await readMail(dovecot, protocol, from);
        await opened(postfix, from);
        assert.equal(await code(postfix, from, INSIDE), 250);
        const row = (await box.rows()).find(({ address }) => address === from);
        assert.deepEqual(
          [row?.user, row?.service, row?.logins],
          ["bob", protocol, 1],
          JSON.stringify(row),
        );
        // there is one IPv6 address only: it is to be closed for the next
        if (version === "IPv6") await box.popbsmtp("revoke", from);
      });
    }

    await t.test(
      "once a drain lingers, the relay is open before the login is answered",
      async () => {
        await readMail(dovecot, "imap", "127.0.0.8");
        await opened(postfix, "127.0.0.8");
        using client = await dovecot.imap({ from: "127.0.0.9" });
        await client.login("bob", dovecot.password);
        assert.equal(await code(postfix, "127.0.0.9", OUTSIDE), 250);
      },
    );

    await t.test("it does not open for any other address", async () => {
      for (const stranger of ["127.0.0.6", "127.0.0.50", "127.0.0.1", "127.0.5.0", "127.5.0.0"]) {
        assert.equal(await code(postfix, stranger, OUTSIDE), 454, stranger);
        assert.equal(await code(postfix, stranger, INSIDE), 250, stranger);
      }
    });

    await t.test("it does not open for what a client calls itself", async () => {
      for (const helo of ["127.0.0.5", "[127.0.0.5]", "[IPv6:::1]"]) {
        const { code: answer } = await postfix.rcpt({ from: "127.0.0.6", to: OUTSIDE, helo });
        assert.equal(answer, 454, helo);
      }
    });

    await t.test("neither a shortened address, nor a name, nor anything else is in the map", () =>
      nothingElseMatches(box, postfix),
    );

    await t.test("an IPv6 address does not match that is another one cut short", () =>
      cutShortDoesNotMatch(box),
    );

    await t.test("an address that shares its name with one that read mail does not match", () =>
      sameNameDoesNotMatch(box, dovecot),
    );

    await t.test("after the lifetime it is closed again, and purge deletes the row", () =>
      expires(box, dovecot),
    );

    await t.test("while the store is away, inbound mail is taken as ever", () => outage(box));
  });
}

/** Postfix asks for shortened addresses, too: access(5). */
async function nothingElseMatches(box: Installation, postfix: Postfix): Promise<void> {
  // the drain does not take a shortened address for one
  const before = await box.rows();
  const { status } = await box.wrapper({ IP: "127.0.0", USER: "bob" });
  assert.equal(status, 0);
  await waitUntil("it to be set aside", () => box.waiting().length === 0);
  assert.deepEqual(await box.rows(), before);

  const map = /^ *check_client_access (.*),$/m.exec(await box.popbsmtp("print", "postfix", "main"));
  // on a command line a dollar is a dollar
  const name = here(map?.[1] ?? "").replaceAll("$$", "$");
  assert.match(name, /^pipemap:\{ regexp:.*, proxy:\w+:\$config_directory\/popbsmtp\.cf \}$/);
  assert.notEqual(await postfix.postmap("127.0.0.5", name), undefined);
  const shortened = ["127.0.0", "127.0", "127", "127.0.0.5.", "127.0.0.50", "::", "::2", ":"];
  const respelled = ["127.0.0.05", "::ffff:127.0.0.5", "0:0:0:0:0:0:0:1", "%", "_", "127.0.0._"];
  const names = ["unknown", "localhost", "mail.example.org", "bob", "o'brien", "\\", '"'];
  for (const key of [...shortened, ...respelled, ...names]) {
    assert.equal(await postfix.postmap(key, name), undefined, key);
  }
}

/** Postfix cuts an IPv6 address at its colons, and what is left may be somebody else's. */
async function cutShortDoesNotMatch(box: Installation): Promise<void> {
  await using postfix = await postfixFor(box, "smtpd_authorized_xclient_hosts = 127.0.0.0/8\n");
  const relay = async (as: string) =>
    (await postfix.rcpt({ from: "127.0.0.1", to: OUTSIDE, as })).code;
  await box.popbsmtp("allow", "2001:db8::1");
  assert.equal(await relay("2001:db8::1"), 250);
  for (const stranger of ["2001:db8::1:2", "2001:db8::1:2:3", "2001:db8::1:0:0:1"]) {
    assert.equal(await relay(stranger), 454, stranger);
  }
  await box.popbsmtp("revoke", "2001:db8::1");
}

/** 127.0.0.1 and ::1 are both called localhost in /etc/hosts. */
async function sameNameDoesNotMatch(box: Installation, dovecot: Dovecot): Promise<void> {
  await using postfix = await postfixFor(box, "smtpd_peername_lookup = yes\n");
  await readMail(dovecot, "imap", "127.0.0.1");
  await opened(postfix, "127.0.0.1");
  assert.match(postfix.log(), /connect from localhost\[127\.0\.0\.1\]/);
  assert.equal(await code(postfix, "::1", OUTSIDE), 454);
  await box.popbsmtp("revoke", "127.0.0.1");
}

async function expires(box: Installation, dovecot: Dovecot): Promise<void> {
  writeFileSync(box.config, `lifetime = "3s"\n${readFileSync(box.config, "utf8")}`);
  await using postfix = await postfixFor(box);
  const from = "127.0.0.10";
  await readMail(dovecot, "imap", from);
  await opened(postfix, from);
  await waitUntil("the lifetime to end", async () => (await code(postfix, from, OUTSIDE)) === 454);
  // nobody has purged
  const addresses = (await box.rows()).map(({ address }) => address);
  assert.ok(addresses.includes(from), addresses.join());
  await box.popbsmtp("purge");
  assert.deepEqual(await box.rows(), []);
  // and the next login opens it anew
  await readMail(dovecot, "pop3", from);
  await opened(postfix, from);
}

async function outage(box: Installation): Promise<void> {
  const { server } = box;
  // one that has nothing open from before
  await using postfix = await postfixFor(box);
  const inbound = async () => {
    for (const from of ["127.0.0.5", "127.0.0.6", "::1"]) {
      assert.equal(await code(postfix, from, INSIDE), 250, from);
    }
  };
  if (server === undefined) {
    await box.sql("DROP TABLE popbsmtp");
    await inbound();
    // Postfix' SQLite client ends itself where a query fails: who wants to relay waits, and nobody
    // else
    const refused = assert.rejects(code(postfix, "127.0.0.5", OUTSIDE));
    await waitUntil("the query to fail", () =>
      /proxymap.*fatal: .*no such table/.test(postfix.log()),
    );
    await inbound();
    await postfix[Symbol.asyncDispose]();
    await refused;
    return;
  }
  server.pause();
  await inbound();
  server.resume();
  await server.stop();
  await inbound();
  // the map really does not answer; and a temporary refusal makes a client try again
  assert.equal(await code(postfix, "127.0.0.5", OUTSIDE), 451);
  await inbound();
}
