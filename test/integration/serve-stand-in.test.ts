/** Dovecot's master starts a daemon whose configuration, or Dovecot's own, is wrong. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startDovecot } from "../support/dovecot.ts";
import { install } from "../support/installation.ts";
import { PLAIN_ENV } from "../support/run.ts";
import { askPolicy, askSocket, configureServe, postLoginRequest } from "../support/serve.ts";
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
    dovecot.log().includes("service popbsmtp: must be started as root"),
  );
});

test("where systemd starts it, and it never was root, it begins in the same process", async () => {
  await using box = await install("sqlite");
  const sockets = configureServe(box, 'deadline = "30s"');
  const good = readFileSync(box.config, "utf8");
  writeFileSync(box.config, `lifetime = "soon"\n${good}`);
  const imap = `${sockets.imap}.handed`;
  const { uid, gid } = box.user;
  const words = ["-l", imap, "--fdname=imap", box.program, "--config", box.config, "serve"];
  const daemon = spawn("systemd-socket-activate", words, {
    uid,
    gid,
    env: { ...PLAIN_ENV },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  daemon.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
  try {
    const ask = async (user: string) =>
      (await askSocket(imap, postLoginRequest("127.0.0.5", user))).toString();
    await waitUntil("an answer", async () => (await ask("bob")) === "bob\n");
    assert.match(log, /error not-recording reason=".*lifetime: /);
    writeFileSync(box.config, good);
    // it need not be waited for
    daemon.kill("SIGHUP");
    await waitUntil("it to be ready", () => / info ready /.test(log));
    await waitUntil("it to say that all is well", () =>
      /info problem-over reason=".*lifetime: /.test(log),
    );
    assert.equal(await ask("eve"), "eve\n");
    const users = (await box.rows()).map(({ user }) => user);
    assert.deepEqual(users, ["eve"]);
    assert.equal(await askPolicy(sockets.policy, "127.0.0.5"), "OK");
  } finally {
    daemon.kill("SIGTERM");
    await once(daemon, "close");
  }
  assert.match(log, / info stopped\n$/);
});
