/** A real Dovecot's log. */
import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { install } from "../support/installation.ts";
import { readMail } from "../support/mail-session.ts";
import { askPolicy, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { startWatch } from "../support/watch.ts";
import { inSoak } from "../support/soak.ts";

const LOGINS = [
  ["imap", "bob", "127.0.0.11"],
  ["pop3", "eve@example.org", "127.0.0.12"],
  ["imap", "ann", "::1"],
  ["pop3", "joe", "::1"],
] as const;

/** Refused: neither the wrong password nor a connection authorizes. */
const REFUSED = "127.0.0.66";

/** Dovecot makes it root's alone. */
function readableLog({ directory }: Dovecot): string {
  const log = join(directory, "log");
  chmodSync(log, 0o644);
  return log;
}

for (const driver of ["sqlite", ...inSoak("pgsql", "mysql")] as const) {
  test(`whoever logs in at Dovecot is in the store, and nobody else: ${driver}`, async () => {
    await using box = await install(driver);
    await using dovecot = await startDovecot();
    await using watch = startWatch(box, readableLog(dovecot));
    const start = Date.now();
    {
      using client = await dovecot.imap({ from: REFUSED });
      await assert.rejects(client.login("mallory", "wrong"));
    }
    for (const [protocol, user, from] of LOGINS) await readMail(dovecot, protocol, user, from);
    const wanted = LOGINS.map((login) => `${login.join(" ")} 1`);
    await waitUntil("the logins to be recorded", async () => {
      const rows = await box.rows();
      const found = rows.map(
        ({ service, user, address, logins }) => `${service} ${user} ${address} ${logins}`,
      );
      assert.deepEqual(new Set(found), new Set(wanted));
      return true;
    });
    for (const { lastSeen } of await box.rows()) {
      // the log has whole seconds
      const age = Date.parse(lastSeen) - start;
      assert.ok(age > -1_000 && age < Date.now() - start, lastSeen);
    }
    assert.equal(watch.log(), "");
  });
}

const VALUE = "x".repeat(40);
/** As Dovecot logs `"a" "xx..."`. */
const PAIR = `a=${VALUE}, `.length;

/**
 * An ID command whose value `text` begins at `at` in what Dovecot logs of it, which is more than
 * twice as much as it logs at once.
 */
function identification(at: number, text: string): string {
  const before = Math.floor(at / PAIR) - 1;
  const last = at - before * PAIR - "a=, a=".length;
  const values = [
    ...Array<string>(before).fill(VALUE),
    "x".repeat(last),
    text,
    ...Array<string>(200).fill(VALUE),
  ];
  return `ID (${values.map((value) => `"a" "${value}"`).join(" ")})`;
}

test("what Dovecot logs of a client that has not logged in makes no line that counts", async () => {
  await using box = await install("sqlite");
  await using dovecot = await startDovecot({ config: "imap_id_log = *\n" });
  await using watch = startWatch(box, readableLog(dovecot));
  const login = "Login: user=<bob>, method=PLAIN, rip=192.0.2.66, lip=127.0.0.1";
  const isLogged = () => dovecot.log().includes(` imap-login: Info: ${login}`);
  const identify = async (at: number) => {
    using client = await dovecot.imap({ from: REFUSED });
    await client.command(identification(at, login));
  };
  // where Dovecot cuts, which depends on a process id
  await identify(5_000);
  let first = "";
  await waitUntil("the first piece to be logged", () => {
    [, first = ""] = /ID sent: (.{2000,})\n/.exec(dovecot.log()) ?? [];
    return first !== "";
  });
  await waitUntil("a piece to be logged that is a login", async () => {
    await identify(Buffer.byteLength(first));
    return isLogged();
  });
  await waitUntil("it to be refused", () =>
    /a login does not count, it may be a fragment of a longer message/.test(watch.log()),
  );
  assert.deepEqual(await box.rows(), []);
});

test("a proxy's log tells of those whom the backend has let in, with the client's address", async () => {
  await using box = await install("sqlite");
  await using backend = await startDovecot();
  await using proxy = await startDovecot({ proxyTo: backend });
  await using watch = startWatch(box, readableLog(proxy));
  const imitation = "a,h): Started proxying to <h>: user=<a>, method=PLAIN, rip=192.0.2.66, x=<";
  for (const user of ["mallory", imitation]) {
    using client = await proxy.imap({ from: REFUSED });
    await assert.rejects(client.login(user, "wrong"));
  }
  await readMail(proxy, "imap", "x>, rip=192.0.2.66, y=<", "127.0.0.13");
  const logins = LOGINS.filter(([, , from]) => from !== "::1");
  for (const [protocol, user, from] of logins) await readMail(proxy, protocol, user, from);
  const wanted = logins.map((login) => login.join(" "));
  await waitUntil("the logins to be recorded", async () => {
    const rows = await box.rows();
    const found = rows.map(({ service, user, address }) => `${service} ${user} ${address}`);
    assert.deepEqual(new Set(found), new Set(wanted));
    return true;
  });
  assert.match(watch.log(), /it is ambiguous/);
});

test("the daemon watches the log, too, and Postfix hears of it", async () => {
  await using box = await install("pgsql");
  await using dovecot = await startDovecot();
  const log = readableLog(dovecot);
  await using serve = await startServe(box, `[watch]\nfile = "${log}"`);
  await readMail(dovecot, "imap", "bob", "127.0.0.11");
  await waitUntil("the login to count", async () => {
    return (await askPolicy(serve.policy, "127.0.0.11")) === "OK";
  });
  assert.equal(await askPolicy(serve.policy, "127.0.0.12"), "DUNNO");
  assert.match(serve.log(), / login address=127\.0\.0\.11 user=bob service=imap outcome=spooled\n/);
  await waitUntil("the login to be in the store", async () => (await box.rows()).length === 1);
});
