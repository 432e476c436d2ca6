/**
 * Dovecot 2.3's last_login plugin tells the daemon of logins, set up as `popbsmtp print dovecot`
 * says, and Postfix asks it.
 */
import assert from "node:assert/strict";
import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rowOf, startDict } from "../support/dict.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { readMail } from "../support/mail-session.ts";
import { startPostfix } from "../support/postfix.ts";
import { runOk } from "../support/run.ts";
import { askPolicy, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const OUTSIDE = "somebody@example.net";
const INSIDE = "somebody@example.org";
const STRANGER = "127.0.0.250";

const LOGINS = [
  ["imap", "127.0.0.5"],
  ["pop3", "127.0.0.6"],
  ["imap", "::1"],
  ["pop3", "::1"],
] as const;

/** A name may have slashes, an address in it, and any byte that a client can send. */
const NAMES = [
  "bob@example.org",
  "bob/198.51.100.1/eve",
  "/",
  'o\'brien "$(id)" %u %{user} \\',
  "x>, rip=198.51.100.1, y=<",
  "josé",
  "a\tb\nc\rd\u0001te=",
];

for (const driver of DRIVERS) {
  test(`${driver}: a login opens the relay at once, is in the store soon, and closes it when its lifetime is over`, async (t) => {
    await using box = await install(driver);
    await using site = await startDict(box, { lifetime: "5s" });
    const { dovecot, policy } = site;
    await using postfix = await startPostfix({
      mainCf: await box.popbsmtp("print", "postfix", "policy"),
    });
    const code = async (from: string, to: string) => (await postfix.rcpt({ from, to })).code;

    for (const [, from] of LOGINS) assert.equal(await code(from, OUTSIDE), 454);

    for (const [protocol, from] of LOGINS) {
      await t.test(`${protocol} from ${from}`, async () => {
        const start = Date.now();
        const user = `${protocol} ${from}`;
        using client = await dovecot[protocol]({ from });
        await client.login(user, dovecot.password);
        await waitUntil("the login to count", async () => (await askPolicy(policy, from)) === "OK");
        assert.equal(await code(from, OUTSIDE), 250);
        assert.equal(await code(from, INSIDE), 250);
        assert.equal(await code(STRANGER, OUTSIDE), 454);
        await client.logout();
        const row = await rowOf(box, user);
        assert.deepEqual([row.address, row.service, row.logins], [from, protocol, 1]);
        const seen = Date.parse(row.lastSeen);
        assert.ok(seen >= start - 1 && seen <= Date.now(), row.lastSeen);
      });
    }

    await t.test("until the lifetime is over", async () => {
      for (const from of ["127.0.0.5", "127.0.0.6", "::1"]) {
        await waitUntil("the relay to close", async () => (await code(from, OUTSIDE)) === 454);
        const last = Math.max(
          ...(await box.rows())
            .filter(({ address }) => address === from)
            .map(({ lastSeen }) => Date.parse(lastSeen)),
        );
        assert.ok(Date.now() - last >= 5_000);
      }
    });

    await t.test("whatever the user is called", async () => {
      for (const user of NAMES) {
        await readMail(dovecot, "imap", user, "127.0.0.7");
        assert.equal((await rowOf(box, user)).address, "127.0.0.7");
      }
      const rows = await box.rows();
      assert.ok(rows.every(({ address }) => !address.startsWith("198.51.100.")));
    });

    await t.test("and nobody is authorized by a login that failed", async () => {
      using client = await dovecot.imap({ from: "127.0.0.66" });
      await assert.rejects(client.login("mallory", "wrong"));
      await readMail(dovecot, "imap", "last", "127.0.0.67");
      await rowOf(box, "last");
      assert.ok((await box.rows()).every(({ user }) => user !== "mallory"));
    });

    assert.deepEqual(site.errors(), []);
  });
}

test("a login counts from the moment the daemon has read it, and the commit follows", async () => {
  await using box = await install("pgsql");
  await using site = await startDict(box, { lines: 'deadline = "30s"' });
  const { dovecot, policy } = site;
  await readMail(dovecot, "imap", "before", "127.0.0.8");
  await rowOf(box, "before");
  box.server?.pause();
  await readMail(dovecot, "imap", "bob", "127.0.0.9");
  await waitUntil(
    "the login to count",
    async () => (await askPolicy(policy, "127.0.0.9")) === "OK",
  );
  box.server?.resume();
  await rowOf(box, "bob");
});

test("a login from an excluded address is answered and not recorded", async () => {
  await using box = await install("sqlite", 'exclude = ["127.0.0.5"]');
  await using site = await startDict(box);
  await readMail(site.dovecot, "imap", "bob", "127.0.0.5");
  await readMail(site.dovecot, "imap", "eve", "127.0.0.6");
  await rowOf(box, "eve");
  assert.deepEqual(
    (await box.rows()).map(({ user }) => user),
    ["eve"],
  );
  assert.deepEqual(site.errors(), []);
});

test("Dovecot's log says what is wrong with the key, and everybody is let in", async () => {
  await using box = await install("sqlite");
  await using site = await startDict(box, {
    edit: (printed) => printed.replace("popbsmtp/%s/%r/%u", "last-login/%u"),
  });
  await readMail(site.dovecot, "imap", "bob", "127.0.0.5");
  await waitUntil("Dovecot to say so", () =>
    /imap\(bob\).*last_login_dict: Failed to write value: .*: last_login_key: expected popbsmtp\/%s\/%r\/%u/.test(
      site.dovecot.log(),
    ),
  );
});

test("Dovecot's log says that a login is lost where neither spool nor store takes it", async () => {
  await using box = await install("pgsql");
  await using site = await startDict(box);
  await readMail(site.dovecot, "imap", "bob", "127.0.0.5");
  await rowOf(box, "bob");
  await box.server?.stop();
  await using _ = unwritableSpool(box);
  await readMail(site.dovecot, "imap", "eve", "127.0.0.6");
  await waitUntil("Dovecot to say so", () =>
    /imap\(eve\).*last_login_dict: Failed to write value: .*popbsmtp could not record the login/.test(
      site.dovecot.log(),
    ),
  );
  assert.equal(await askPolicy(site.policy, "127.0.0.6"), "DUNNO");
});

test("a daemon on its own has a socket for Dovecot's mail processes, and leaves none behind", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box);
  await using dovecot = await startDovecot({
    config: await box.popbsmtp("print", "dovecot", "--systemd"),
  });
  await readMail(dovecot, "imap", "bob", "127.0.0.5");
  await rowOf(box, "bob");
  assert.equal(await serve.stop(), 0);
  assert.ok(!existsSync(serve.dict));
  await readMail(dovecot, "pop3", "meanwhile", "127.0.0.6");
  await serve.start();
  await readMail(dovecot, "pop3", "eve", "127.0.0.7");
  await rowOf(box, "eve");
});

test("from post-login to the plugin: while Dovecot has both, a login counts once", async () => {
  await using box = await install("pgsql");
  const postLogin = await box.popbsmtp("print", "dovecot", "post-login");
  await using site = await startDict(box, { edit: (printed) => postLogin + printed });
  const { dovecot } = site;
  for (const [protocol, from] of LOGINS) {
    const user = `${protocol} ${from}`;
    await readMail(dovecot, protocol, user, from);
    assert.equal((await rowOf(box, user)).address, from);
  }
  const conf = join(dovecot.directory, "dovecot.conf");
  writeFileSync(conf, readFileSync(conf, "utf8").replace(postLogin, ""));
  await reload(dovecot);
  const socket = join(dovecot.directory, "run", "popbsmtp-imap");
  await waitUntil("post-login to be gone", () => !existsSync(socket));
  const logins = await box.rows();
  assert.deepEqual(
    logins.map((row) => row.logins),
    LOGINS.map(() => 1),
  );
  await readMail(dovecot, "imap", "after", "127.0.0.9");
  await rowOf(box, "after");
  assert.deepEqual(site.errors(), []);
});

test("behind a proxy, the backend's plugin tells where the client is, and nobody whom the backend refused", async () => {
  await using box = await install("sqlite");
  await using backend = await startDict(box, {
    edit: (printed) => `login_trusted_networks = 127.0.0.1\n${printed}`,
  });
  await using proxy = await startDovecot({ proxyTo: backend.dovecot });
  for (const protocol of ["imap", "pop3"] as const) {
    const from = protocol === "imap" ? "127.0.0.5" : "127.0.0.6";
    await readMail(proxy, protocol, `${protocol} bob`, from);
    assert.equal((await rowOf(box, `${protocol} bob`)).address, from);
    using client = await proxy[protocol]({ from: "127.0.0.66" });
    await assert.rejects(client.login("mallory", "wrong"));
  }
  assert.ok((await box.rows()).every(({ address }) => address !== "127.0.0.66"));
});

async function reload({ directory }: Dovecot): Promise<void> {
  await runOk("doveadm", ["-c", join(directory, "dovecot.conf"), "reload"]);
}

/** Nobody can write to the spool for now. */
function unwritableSpool({ spool, user }: Installation): AsyncDisposable {
  chownSync(spool, 0, 0);
  return {
    [Symbol.asyncDispose]: () => {
      chownSync(spool, user.uid, user.gid);
      return Promise.resolve();
    },
  };
}
