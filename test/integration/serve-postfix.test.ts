/**
 * Postfix and the daemon, set up as `popbsmtp print postfix` says: the policy service, and the
 * socketmap.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startDovecot } from "../support/dovecot.ts";
import { install, type Installation } from "../support/installation.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import {
  askSocket,
  configureServe,
  postLoginRequest,
  startServe,
  type Serve,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const OUTSIDE = "somebody@example.net";
const INSIDE = "somebody@example.org";

/** Nobody logs in from here. */
const STRANGER = "127.0.0.250";

const FORMS = ["policy", "socketmap"] as const;
type Form = (typeof FORMS)[number];

/**
 * What becomes of outside mail where the daemon knows no answer: a map has no way of saying that it
 * has no opinion.
 */
const NO_ANSWER: Readonly<Record<Form, number>> = { policy: 454, socketmap: 451 };

async function postfixFor(box: Installation, form: Form): Promise<Postfix> {
  return await startPostfix({ mainCf: await box.popbsmtp("print", "postfix", form) });
}

async function code(postfix: Postfix, from: string, to: string): Promise<number> {
  return (await postfix.rcpt({ from, to })).code;
}

/** Dovecot's part: somebody logs in from this address. */
async function logIn(serve: Serve, from: string): Promise<void> {
  const answer = await askSocket(serve.imap, postLoginRequest(from, "bob"));
  assert.equal(answer.toString(), "bob\n");
}

async function assertInbound(postfix: Postfix, ...clients: readonly string[]): Promise<void> {
  for (const from of [STRANGER, "::1", ...clients]) {
    assert.equal(await code(postfix, from, INSIDE), 250, `inbound mail from ${from}`);
  }
}

/** The map as Postfix is told of it. */
async function mapName(box: Installation): Promise<string> {
  const main = await box.popbsmtp("print", "postfix", "socketmap");
  const [, name = ""] = /^ *check_client_access proxy:(.*),$/m.exec(main) ?? [];
  return name;
}

test("Dovecot's login opens the relay of Postfix, with what print dovecot and print postfix policy say", async () => {
  await using box = await install("pgsql");
  configureServe(box);
  await using dovecot = await startDovecot({
    config: await box.popbsmtp("print", "dovecot", "post-login"),
  });
  await using postfix = await postfixFor(box, "policy");
  for (const [protocol, from] of [
    ["imap", "127.0.0.5"],
    ["pop3", "127.0.0.6"],
    ["imap", "::1"],
  ] as const) {
    assert.equal(await code(postfix, from, OUTSIDE), 454);
    using client = await dovecot[protocol]({ from });
    await client.login("bob", dovecot.password);
    assert.equal(await code(postfix, from, OUTSIDE), 250);
    assert.equal(await code(postfix, from, INSIDE), 250);
  }
  assert.equal(await code(postfix, STRANGER, OUTSIDE), 454);
  await assertInbound(postfix);
});

for (const form of FORMS) {
  test(`with the ${form}`, async (t) => {
    await using box = await install("mysql");
    await using serve = await startServe(box);
    await using postfix = await postfixFor(box, form);

    await t.test("454 becomes 250 with a login", async () => {
      assert.equal(await code(postfix, "127.0.0.5", OUTSIDE), 454);
      await logIn(serve, "127.0.0.5");
      assert.equal(await code(postfix, "127.0.0.5", OUTSIDE), 250);
      assert.equal(await code(postfix, STRANGER, OUTSIDE), 454);
      await assertInbound(postfix, "127.0.0.5");
    });

    await t.test("while the store is away, 250 stays 250, and inbound mail comes in", async () => {
      await box.server?.stop();
      assert.equal(await code(postfix, "127.0.0.5", OUTSIDE), 250);
      assert.equal(await code(postfix, "127.0.0.7", OUTSIDE), NO_ANSWER[form]);
      await assertInbound(postfix, "127.0.0.5", "127.0.0.7");
      await logIn(serve, "127.0.0.7");
      assert.equal(await code(postfix, "127.0.0.7", OUTSIDE), 250, "recorded meanwhile");
      await box.server?.start();
      await waitUntil("the spool to be drained", () => box.waiting().length === 0);
    });

    for (const [state, begin, end] of [
      ["killed", () => serve.kill9(), () => serve.start()],
      ["hung", () => serve.pause(), () => serve.resume()],
    ] as const) {
      await t.test(
        `while the daemon is ${state}, inbound mail comes in, nothing goes out`,
        async () => {
          await begin();
          await assertInbound(postfix, "127.0.0.5");
          // Postfix waits much longer for a socketmap that hangs
          if (form === "policy" || state === "killed") {
            assert.equal(await code(postfix, "127.0.0.5", OUTSIDE), NO_ANSWER[form]);
          }
          await assertInbound(postfix, "127.0.0.5");
          await end();
          await waitUntil("the relay to open again", async () => {
            return (await code(postfix, "127.0.0.5", OUTSIDE)) === 250;
          });
        },
      );
    }

    await t.test("250 becomes 454 when the lifetime is over, and not before", async () => {
      writeFileSync(box.config, `lifetime = "2s"\n${readFileSync(box.config, "utf8")}`);
      assert.match(await serve.reload(), / reloaded$/);
      const from = "127.0.0.9";
      const start = Date.now();
      await logIn(serve, from);
      assert.equal(await code(postfix, from, OUTSIDE), 250);
      await waitUntil("the relay to close", async () => {
        return (await code(postfix, from, OUTSIDE)) === 454;
      });
      assert.ok(Date.now() - start >= 2_000);
      await logIn(serve, from);
      assert.equal(await code(postfix, from, OUTSIDE), 250, "the next login opens it anew");
    });
  });
}

test("postmap -q finds whoever has logged in, in the socketmap, and nothing else", async () => {
  await using box = await install("pgsql");
  await using serve = await startServe(box);
  await using postfix = await postfixFor(box, "socketmap");
  const map = await mapName(box);
  for (const address of ["127.0.0.5", "::1", "2001:db8::5"]) {
    assert.equal(await postfix.postmap(address, map), undefined);
    await logIn(serve, address);
    assert.equal(await postfix.postmap(address, map), "OK");
    assert.equal(await postfix.postmap(address, `proxy:${map}`), "OK");
  }
  const shortened = ["127.0.0", "127", "127.0.0.50", "2001:db8", "2001:db8::", "::"];
  const names = ["unknown", "localhost", "mail.example.org", "bob", "a b", "o'brien", "%", "é"];
  for (const key of [...shortened, ...names]) {
    assert.equal(await postfix.postmap(key, map), undefined, key);
  }

  await box.server?.stop();
  assert.equal(await postfix.postmap("127.0.0.5", map), "OK", "known while the store is away");
  await assert.rejects(postfix.postmap("192.0.2.9", map), /TEMP|the store is away|error/i);
  assert.equal(await postfix.postmap("unknown", map), undefined, "no address, so no question");
  await serve.kill9();
  await assert.rejects(postfix.postmap("127.0.0.5", map));
});

test("whether the daemon comes or goes, the policy service has nobody answered 451", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box);
  await using postfix = await postfixFor(box, "policy");
  await logIn(serve, "127.0.0.5");
  const answers = (to: string) =>
    Promise.all(["127.0.0.5", STRANGER].map((from) => code(postfix, from, to)));
  const assertMail = async (outside: readonly number[]) => {
    assert.deepEqual(await answers(INSIDE), [250, 250]);
    assert.deepEqual(await answers(OUTSIDE), outside);
  };
  await assertMail([250, 454]);
  await serve.kill9();
  await assertMail([454, 454]);
  await serve.start();
  await assertMail([250, 454]);
  // now smtpd has connections that are no good
  await serve.kill9();
  await serve.start();
  await assertMail([250, 454]);
  assert.equal(await serve.stop(), 0);
  await assertMail([454, 454]);
});
