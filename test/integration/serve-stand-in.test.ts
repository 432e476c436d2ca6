/** Dovecot's master starts a daemon whose configuration, or Dovecot's own, is wrong. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startDovecot } from "../support/dovecot.ts";
import { install } from "../support/installation.ts";
import { configureServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

test("a broken configuration refuses nobody's login, and is noticed when it is mended", async (t) => {
  await using box = await install("sqlite");
  configureServe(box, 'deadline = "30s"');
  const service = await box.popbsmtp("print", "dovecot", "post-login");
  const good = readFileSync(box.config, "utf8");
  writeFileSync(box.config, `lifetime = "soon"\n${good}`);
  await using dovecot = await startDovecot({ config: service });

  for (const protocol of ["imap", "pop3"] as const) {
    await t.test(
      `${protocol}: everybody is let in, and the log says that it is not recorded`,
      async () => {
        using client = await dovecot[protocol]({ from: "127.0.0.5" });
        await client.login("bob", dovecot.password);
        await client.logout();
        assert.match(dovecot.log(), /popbsmtp: Error: not-recording reason=".*lifetime: /);
        assert.match(
          dovecot.log(),
          new RegExp(
            `popbsmtp: Info: login address=127.0.0.5 user=bob service=${protocol} outcome=lost`,
          ),
        );
      },
    );
  }

  await t.test("once it is mended, logins are recorded again", async () => {
    writeFileSync(box.config, good);
    const isRecorded = async () => {
      using client = await dovecot.imap({ from: "127.0.0.6" });
      await client.login("eve", dovecot.password);
      return (await box.rows()).some(({ user }) => user === "eve");
    };
    await waitUntil("a login to be recorded", isRecorded, { timeout: 60_000, interval: 200 });
    assert.equal(
      (await box.rows()).some(({ user }) => user === "bob"),
      false,
    );
  });
});

test("a service that is no root at its start says why it cannot work", async () => {
  await using box = await install("sqlite");
  configureServe(box, "");
  const service = await box.popbsmtp("print", "dovecot", "post-login");
  assert.match(service, /^ *user = root$/m);
  const wrong = service.replace(/^ *user = root$/m, "user = nobody\ndrop_priv_before_exec = yes");
  await using dovecot = await startDovecot({ config: wrong });
  await waitUntil("the log to say it", () =>
    dovecot.log().includes("service popbsmtp: has to be started as root"),
  );
});
