/**
 * `popbsmtp doctor` and what a real Postfix does: master.cf, lists that smtpd refuses, maps that it
 * has not read or cannot.
 */
import assert from "node:assert/strict";
import { chmodSync, chownSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  adviceOf,
  assertProblem,
  assertWarning,
  edited,
  follow,
  runDoctor,
  write,
  type Report,
} from "../support/doctor.ts";
import { startDovecot } from "../support/dovecot.ts";
import { freePort } from "../support/free-port.ts";
import { install, type Driver, type Installation } from "../support/installation.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { runOk } from "../support/run.ts";
import { startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENT = "127.0.0.5";
const ELSEWHERE = "somebody@elsewhere.example";

interface Site extends AsyncDisposable {
  readonly box: Installation;
  readonly postfix: Postfix;
  readonly mainCf: string;
  readonly masterCf: string;
  readonly doctor: () => Promise<Report>;
  /** What a client is told that has just logged in. */
  readonly relays: (port?: number) => Promise<number>;
  readonly reload: () => Promise<unknown>;
}

/** A site whose Dovecot and Postfix both ask the daemon. */
async function daemonSite(): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install("sqlite"));
  const { imap, pop3, policy } = stack.use(await startServe(box));
  const dovecot = `service imap {\n executable = imap ${imap}\n}\nservice pop3 {\n executable = pop3 ${pop3}\n}\n`;
  const asks = `check_policy_service { unix:${policy}, timeout=2s, default_action=DUNNO }`;
  const relay = `service_throttle_time = 1s\nsmtpd_relay_restrictions = permit_mynetworks, permit_auth_destination, ${asks}, defer_unauth_destination\n`;
  const made = stack.use(await site(box, { dovecot, mainCf: relay, files: {} }));
  const resources = stack.move();
  return { ...made, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** A site whose Postfix asks the database. */
async function mapSite(driver: Driver): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install(driver));
  const main = await box.popbsmtp("print", "postfix", "main");
  const map = await box.popbsmtp("print", "postfix", "map");
  const mainCf = main.replaceAll("/etc/postfix/", "$config_directory/");
  const made = stack.use(await site(box, { mainCf, files: { "popbsmtp.cf": map } }));
  const resources = stack.move();
  return { ...made, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

async function site(
  box: Installation,
  {
    dovecot: config,
    mainCf,
    files,
  }: { dovecot?: string; mainCf: string; files: Record<string, string> },
): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const wrapper = (service: string) => `${box.program} --config ${box.config} --service ${service}`;
  const dovecot = stack.use(
    await startDovecot(
      config === undefined
        ? {
            postLogin: { imap: wrapper("imap"), pop3: wrapper("pop3") },
            postLoginUser: box.user.name,
            vszLimit: "0",
          }
        : { config },
    ),
  );
  const postfix = stack.use(await startPostfix({ mainCf, files }));
  await box.popbsmtp("allow", CLIENT);
  const resources = stack.move();
  const { directory } = postfix;
  return {
    box,
    postfix,
    mainCf: join(directory, "main.cf"),
    masterCf: join(directory, "master.cf"),
    doctor: () => runDoctor(box, dovecot, postfix),
    relays: async (port = postfix.port) =>
      (await postfix.rcpt({ from: CLIENT, to: ELSEWHERE, port })).code,
    reload: () => runOk("postfix", ["-c", directory, "reload"]),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

test("doctor says of each service of master.cf whether the lookup is in force there", async (t) => {
  await using server = await daemonSite();
  const { box, postfix, masterCf, doctor, relays, reload } = server;
  const second = await freePort();
  const before = readFileSync(masterCf, "utf8");
  const service = `0.0.0.0:${String(second)} inet n - n - - smtpd`;
  const withService = async (options: string) => {
    write(masterCf, `${before}${service}${options}\n`);
    await reload();
    await waitUntil("the port to be open", async () => (await relays(second)) > 0);
  };
  assert.equal(await relays(), 250);

  await t.test("a port that overrides the list; what is advised cures it", async () => {
    await withService(" -o smtpd_relay_restrictions=permit_mynetworks,reject");
    assert.equal(await relays(second), 554);
    const found = new RegExp(
      `0\\.0\\.0\\.0:${String(second)}/inet: master.cf overrides smtpd_relay_restrictions, and does not ask`,
    );
    const report = await doctor();
    assertWarning(report, found, `postconf -c ${postfix.directory} -P `);
    assert.match(report.text, /127\.0\.0\.1:\d+\/inet, \[::1\]:\d+\/inet: smtpd_relay_.* asks /);
    await follow(report, "warning", found, box);
    await waitUntil("the second port to relay", async () => (await relays(second)) === 250);
    const { text } = await doctor();
    assert.match(text, new RegExp(`:${String(second)}/inet: smtpd_relay_restrictions asks `));
    assert.match(text, /no problems, no warnings/);
  });

  await t.test("a port whose other list refuses again", async () => {
    await withService(" -o smtpd_recipient_restrictions=permit_mynetworks,reject");
    assert.equal(await relays(second), 554);
    const found =
      /smtpd_recipient_restrictions: reject rejects clients that smtpd_relay_restrictions/;
    const report = await doctor();
    assertProblem(report, found, "permit_auth_destination, check_policy_service");
    await follow(report, "problem", found, box);
    await waitUntil("the second port to relay", async () => (await relays(second)) === 250);
  });

  await t.test("a port for SMTP AUTH alone is as it should be", async () => {
    await withService(
      " -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    );
    assert.equal(await relays(second), 554);
    const { status, text } = await doctor();
    assert.match(text, new RegExp(`ok +0.0.0.0:${String(second)}/inet: only SMTP AUTH opens`));
    assert.equal(status, 0);
  });

  await t.test("a port of its own, where alone it is asked", async () => {
    const list = "{ smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination }";
    write(masterCf, before.replaceAll(/smtpd$/gm, `smtpd -o ${list}`) + `${service}\n`);
    await reload();
    await waitUntil("the second port to relay", async () => (await relays(second)) === 250);
    assert.equal(await relays(), 554);
    const { text } = await doctor();
    assert.match(text, /127\.0\.0\.1:\d+\/inet, \[::1\]:\d+\/inet: does not ask; only this host/);
    assert.match(text, new RegExp(`:${String(second)}/inet: smtpd_relay_restrictions asks `));
  });

  await t.test("every port overrides it: nobody may relay", async () => {
    const list = "-o smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination";
    write(masterCf, before.replaceAll(/smtpd$/gm, `smtpd ${list}`));
    await reload();
    await waitUntil("Postfix to refuse", async () => (await relays()) === 554);
    const found = /: master.cf overrides|^ {2}problem +master.cf overrides smtpd_relay_restr/;
    const report = await doctor();
    assertProblem(report, found, `postconf -c ${postfix.directory} -P `);
    await follow(report, "problem", found, box);
    await waitUntil("Postfix to relay", async () => (await relays()) === 250);
  });
});

test("doctor says what Postfix's lists do to a client that has logged in", async (t) => {
  await using server = await daemonSite();
  const { box, postfix, mainCf, doctor, relays, reload } = server;

  await t.test("no reject and no defer: smtpd ends with a fatal error", async () => {
    await edited(mainCf, ", defer_unauth_destination", "", async () => {
      await reload();
      await waitUntil("smtpd to end", async () => {
        await relays().catch(() => {});
        return /smtpd\[\d+\]: fatal: in parameter smtpd_relay_restrictions or/.test(postfix.log());
      });
      const found = /neither smtpd_relay_restrictions nor smtpd_recipient_.* no mail comes in/;
      const report = await doctor();
      assertProblem(report, found, "defer_unauth_destination'");
      await follow(report, "problem", found, box);
      await waitUntil("Postfix to relay", async () => (await relays()) === 250, {
        timeout: 90_000,
      });
    });
    await reload();
  });

  await t.test(
    "a sender address that belongs to a login is refused without SMTP AUTH",
    async () => {
      const more =
        "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/none\n" +
        "smtpd_sender_login_maps = inline:{{sender@example.com = bob}}\n" +
        "smtpd_sender_restrictions = reject_sender_login_mismatch\n";
      await edited(mainCf, /$/, more, async () => {
        assertWarning(
          await doctor(),
          /reject_sender_login_mismatch answers 553/,
          "smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch'",
        );
      });
    },
  );

  await t.test("main.cf that Postfix has not read yet", async () => {
    assert.equal(await relays(), 250);
    await waitUntil(
      "doctor to see that smtpd is older than main.cf",
      async () => {
        await relays();
        utimesSync(mainCf, new Date(), new Date());
        return /main\.cf was changed .* ago, and smtpd \(process \d+\) goes on/.test(
          (await doctor()).text,
        );
      },
      { timeout: 60_000 },
    );
    utimesSync(mainCf, 0, 0);
  });

  await t.test("Postfix is stopped", async () => {
    await postfix.stop();
    assertProblem(
      await doctor(),
      /is not running: no mail comes in/,
      `postfix -c ${postfix.directory} start`,
    );
  });
});

test("doctor finds a map that Postfix cannot read, has not read, or that asks another database", async (t) => {
  await using server = await mapSite("pgsql");
  const { box, mainCf, postfix, doctor, relays, reload } = server;
  const map = join(postfix.directory, "popbsmtp.cf");
  assert.equal(await relays(), 250);
  assert.equal((await doctor()).status, 0);

  await t.test("changed since proxymap has read it", async () => {
    await waitUntil(
      "doctor to see that proxymap is older than the map",
      async () => {
        utimesSync(map, new Date(), new Date());
        return /popbsmtp\.cf was changed .* ago, and proxymap \(process \d+\) goes on/.test(
          (await doctor()).text,
        );
      },
      { timeout: 60_000 },
    );
    const report = await doctor();
    const found = /popbsmtp\.cf was changed/;
    assert.deepEqual(adviceOf(report, "warning", found), [
      `postfix -c ${postfix.directory} reload`,
    ]);
    await follow(report, "warning", found, box);
    await waitUntil("doctor to be content", async () => {
      await relays();
      return (await doctor()).text.includes("no problems, no warnings");
    });
    utimesSync(map, 0, 0);
  });

  await t.test("of mode 0600, root's", async () => {
    chmodSync(map, 0o600);
    chownSync(map, 0, 0);
    await reload();
    await waitUntil("Postfix to refuse", async () => (await relays()) === 451);
    const found =
      /postfix cannot read .*popbsmtp\.cf \(EACCES\): clients that may not relay get a 451/;
    const report = await doctor();
    assertProblem(report, found, `chgrp postfix ${map}; chmod 640 ${map}`);
    await follow(report, "problem", found, box);
    await waitUntil("Postfix to relay", async () => (await relays()) === 250, { timeout: 90_000 });
  });

  await t.test("of the driver that popbsmtp.toml had before", async () => {
    await edited(mainCf, "proxy:pgsql:", "proxy:mysql:", async () => {
      const found = /asks mysql:.*popbsmtp\.cf, and logins are written to pgsql /;
      const report = await doctor();
      assertProblem(report, found, `proxy:pgsql:${map}`);
      await follow(report, "problem", found, box);
      await waitUntil("Postfix to relay", async () => (await relays()) === 250, {
        timeout: 90_000,
      });
      utimesSync(mainCf, 0, 0);
      assert.equal((await doctor()).status, 0);
    });
  });
});
