/** The daemon watches mail logs: [watch]. */
import assert from "node:assert/strict";
import { appendFileSync, chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import { loginLine, writeLog } from "../support/mail-log.ts";
import { askPolicy, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

function watching(box: Installation): { readonly log: string; readonly lines: string } {
  const log = join(box.directory, "mail.log");
  return { log, lines: `[watch]\nfile = "${log}"` };
}

test("killed again and again, it loses nobody and records nobody twice", async () => {
  await using box = await install("sqlite");
  const { log, lines } = watching(box);
  const writer = writeLog(log);
  await using serve = await startServe(box, lines);
  for (let turn = 0; turn < 5; turn++) {
    const from = serve.log().length;
    await waitUntil("logins to be read", () => / login .*spooled/.test(serve.log().slice(from)));
    await serve.kill9();
    await serve.start();
  }
  await writer.stop();
  await waitUntil(
    "all logins to be in the store",
    async () => {
      const rows = await box.rows();
      assert.equal(rows.length, writer.users);
      assert.deepEqual(new Set(rows.map(({ logins }) => logins)), new Set([1]));
      return true;
    },
    { timeout: 20_000, interval: 200 },
  );
});

test("a login that the log tells of counts although the store is away", async () => {
  await using box = await install("pgsql");
  const { log, lines } = watching(box);
  writeFileSync(log, "");
  await using serve = await startServe(box, lines);
  box.server?.pause();
  appendFileSync(log, loginLine("bob", "192.0.2.9"));
  await waitUntil("the login to count", async () => {
    return (await askPolicy(serve.policy, "192.0.2.9")) === "OK";
  });
  box.server?.resume();
  await waitUntil("the login to be in the store", async () => (await box.rows()).length === 1);
});

test("excluded addresses are logged, and not recorded", async () => {
  await using box = await install("sqlite", 'exclude = ["192.0.2.0/24"]');
  const { log, lines } = watching(box);
  writeFileSync(log, loginLine("bob", "192.0.2.9") + loginLine("eve", "198.51.100.9"));
  await using serve = await startServe(box, lines);
  await waitUntil("eve to be recorded", async () => (await box.rows()).length === 1);
  assert.match(serve.log(), / login address=192\.0\.2\.9 user=bob service=imap outcome=excluded\n/);
});

test("another log is watched after a reload, and the old one no more", async () => {
  await using box = await install("sqlite");
  const { log, lines } = watching(box);
  const other = join(box.directory, "other.log");
  for (const file of [log, other]) writeFileSync(file, "");
  await using serve = await startServe(box, lines);
  writeFileSync(box.config, readFileSync(box.config, "utf8").replace(log, other));
  assert.match(await serve.reload(), / info reloaded$/);
  appendFileSync(log, loginLine("eve"));
  appendFileSync(other, loginLine("bob"));
  await waitUntil("the login to be recorded", async () => (await box.rows()).length === 1);
  assert.deepEqual(
    (await box.rows()).map(({ user }) => user),
    ["bob"],
  );
});

test("a log that it may not read is told, and tried again", async () => {
  await using box = await install("sqlite");
  const { log, lines } = watching(box);
  writeFileSync(log, loginLine("bob"), { mode: 0o600 });
  await using serve = await startServe(box, lines);
  await waitUntil("it to say so", () =>
    / error watch-failed file=\S+mail\.log reason=".*: permission denied; let the user nobody read it"\n/.test(
      serve.log(),
    ),
  );
  chmodSync(log, 0o644);
  await waitUntil("the login to be recorded", async () => (await box.rows()).length === 1);
});

test("a user name in the log cannot begin a line of the daemon's own, nor a terminal's escape", async () => {
  await using box = await install("sqlite");
  const { log, lines } = watching(box);
  writeFileSync(log, loginLine("x\u001B[2J outcome=committed"));
  await using serve = await startServe(box, lines);
  await waitUntil("the login to be recorded", async () => (await box.rows()).length === 1);
  assert.match(serve.log(), /user="x\\u001b\[2J outcome=committed" service=imap outcome=spooled\n/);
});
