/** [allow]: the logins of those whom it names count, however they are reported, and no others. */
import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rowOf, startDict } from "../support/dict.ts";
import { install, type Installation } from "../support/installation.ts";
import { readMail } from "../support/mail-session.ts";
import { logIn } from "../support/post-login-load.ts";
import { askPolicy, startServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Everybody whose name begins with "a" is allowed. */
async function installed(section = 'users = ["a*"]'): Promise<Installation> {
  const box = await install("sqlite");
  appendFileSync(box.config, `\n[allow]\n${section}\n`);
  return box;
}

async function users(box: Installation): Promise<readonly string[]> {
  return (await box.rows()).map(({ user }) => user).toSorted();
}

test("the daemon lets everybody in, and records those that Dovecot's plugin reports if they are allowed", async () => {
  await using box = await installed();
  await using site = await startDict(box);
  for (const user of ["eve", "ann", "bob"]) {
    await readMail(
      site.dovecot,
      "imap",
      user,
      `127.0.0.${String(user.length + user.charCodeAt(0))}`,
    );
  }
  await rowOf(box, "ann");
  await waitUntil("the log to tell of the others", () =>
    ["eve", "bob"].every((user) =>
      site.dovecot.log().includes(`user=${user} service=imap outcome=not-allowed`),
    ),
  );
  assert.deepEqual(await users(box), ["ann"]);
  assert.deepEqual(site.errors(), []);
});

test("the daemon, post-login: who is allowed may relay at once, and others after a reload that allows them", async () => {
  await using box = await install("sqlite");
  const file = join(box.directory, "users");
  writeFileSync(file, "ann\n");
  appendFileSync(box.config, `\n[allow]\nusers-file = "${file}"\n`);
  await using serve = await startServe(box);
  await logIn(serve.imap, "192.0.2.1", "ann");
  await logIn(serve.imap, "192.0.2.2", "bob");
  assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
  assert.equal(await askPolicy(serve.policy, "192.0.2.2"), "DUNNO");

  writeFileSync(file, "ann\nbob\n");
  await logIn(serve.imap, "192.0.2.2", "bob");
  assert.equal(await askPolicy(serve.policy, "192.0.2.2"), "DUNNO");
  assert.match(await serve.reload(), / info reloaded$/);
  await logIn(serve.imap, "192.0.2.2", "bob");
  assert.equal(await askPolicy(serve.policy, "192.0.2.2"), "OK");

  writeFileSync(file, "");
  assert.match(await serve.reload(), /reload-refused .*lists no user, so no login would count/);
  await logIn(serve.imap, "192.0.2.2", "bob");
  assert.equal(await askPolicy(serve.policy, "192.0.2.2"), "OK");
  assert.deepEqual(await users(box), ["ann", "bob"]);
});

test("a drain drops the logins of others that wrappers have recorded", async () => {
  await using box = await installed('users = ["ann"]\nservices = ["true", "pop3"]');
  for (const user of ["bob", "ann", "eve"]) {
    const { status, stderr } = await box.wrapper({ IP: "192.0.2.1", USER: user });
    assert.deepEqual([status, stderr.toString()], [0, ""]);
  }
  await box.wrapper({ IP: "192.0.2.1", USER: "ann" }, ["--service", "imap", "/bin/true"]);
  await waitUntil("the spool to be empty", () => box.waiting().length === 0);
  const rows = await box.rows();
  assert.deepEqual(
    rows.map(({ user, service, logins }) => [user, service, logins]),
    [["ann", "true", 1]],
  );
});

test("a watched log opens the relay for those who are allowed", async () => {
  await using box = await installed();
  const log = join(box.directory, "mail.log");
  const now = new Date().toISOString();
  const line = (user: string) =>
    `${now} mail dovecot: imap-login: Login: user=<${user}>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.9, mpid=1, session=<x>\n`;
  writeFileSync(log, ["bob", "ann", "eve"].map(line).join(""), { mode: 0o644 });
  await box.popbsmtp("watch", "--once", log);
  await waitUntil("the login to be in the store", async () => (await users(box)).length > 0);
  assert.deepEqual(await users(box), ["ann"]);
});

test("an administrator's own word counts for anybody", async () => {
  await using box = await installed();
  await box.popbsmtp("allow", "192.0.2.1", "--user", "bob");
  assert.deepEqual(await users(box), ["bob"]);
});
