import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { startDovecot } from "../support/dovecot.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostfix } from "../support/postfix.ts";
import { startPostgres } from "../support/postgres.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const outside = "somebody@example.net";
const inside = "somebody@example.org";
const oddNames = [
  "bob@example.org",
  "a/../b",
  "o'\"brien\n%u",
  "\u{1f4ee}\u001b[31m",
  "x".repeat(255),
];

const dovecots = [
  { name: "Dovecot", hasPostLogin: false },
  { name: "Dovecot with a post-login script", hasPostLogin: true },
];
for (const { name, hasPostLogin } of dovecots) {
  test(`${name} lets every user in, over IMAP and POP3, IPv4 and IPv6`, async () => {
    await using directory = temporaryDirectory({ mode: 0o755 });
    const script = join(directory.path, "script");
    writeFileSync(script, '#!/bin/bash -p\necho "from $IP" >&2\nexec "$@"\n', { mode: 0o755 });
    await using dovecot = await startDovecot({
      ...(hasPostLogin && { postLogin: { imap: script, pop3: script } }),
      userdbFields: ["namespace/extra/prefix=Extra/"],
      config: namespaces,
    });
    for (const from of ["127.0.0.5", "::1"]) {
      for (const user of oddNames) {
        using imap = await dovecot.imap({ from });
        await imap.login(user, dovecot.password);
        assert.match(await imap.command("NAMESPACE"), /"Extra\/"/);
        await imap.logout();

        using pop3 = await dovecot.pop3({ from });
        await pop3.login(user, dovecot.password);
        assert.equal(await pop3.command("STAT"), "+OK 0 0\r\n");
        await pop3.logout();
      }
      assert.equal(dovecot.log().includes(`from ${from}`), hasPostLogin);
    }
  });
}

const namespaces = `
namespace inbox {
  inbox = yes
  separator = /
}
namespace extra {
  prefix = Default/
  separator = /
  location = maildir:~/extra
}
`;

test("Dovecot refuses a wrong password", async () => {
  await using dovecot = await startDovecot();
  using imap = await dovecot.imap();
  await assert.rejects(imap.login("bob", "wrong"), /AUTHENTICATIONFAILED/);
});

test("Postfix relays for whom an SQL map knows, for nobody else, and takes inbound mail", async () => {
  await using directory = temporaryDirectory({ mode: 0o755 });
  await using pgsql = await startPostgres();
  await using mysql = await startMariadb();
  const sqlite = join(directory.path, "mail.db");
  const table = (address: string) =>
    `CREATE TABLE logins (address varchar(39)); INSERT INTO logins VALUES ('${address}')`;
  await pgsql.query(`${table("127.0.0.2")}; GRANT SELECT ON logins TO ${pgsql.user}`);
  await mysql.query(table("127.0.0.3"));
  using database = new DatabaseSync(sqlite);
  database.exec(table("::1"));

  const query = "query = SELECT 'OK' FROM logins WHERE address = '%s'\n";
  await using postfix = await startPostfix({
    mainCf: `smtpd_relay_restrictions = ${["pgsql", "mysql", "sqlite"]
      .map((type) => `check_client_access ${type}:$config_directory/${type}.cf, `)
      .join("")}defer_unauth_destination`,
    files: {
      "pgsql.cf": `${account(pgsql)}hosts = ${pgsql.host}:${String(pgsql.port)}\n${query}`,
      "mysql.cf": `${account(mysql)}hosts = unix:${mysql.socket}\n${query}`,
      "sqlite.cf": `dbpath = ${sqlite}\n${query}`,
    },
  });
  for (const from of ["127.0.0.2", "127.0.0.3", "::1"]) {
    assert.deepEqual(await postfix.rcpt({ from, to: outside }), { code: 250, text: "2.1.5 Ok" });
  }
  const stranger = await postfix.rcpt({ from: "127.0.0.4", to: outside });
  assert.deepEqual(stranger, {
    code: 454,
    text: `4.7.1 <${outside}>: Relay access denied`,
  });
  assert.equal((await postfix.rcpt({ from: "127.0.0.4", to: inside })).code, 250);

  assert.equal(await postfix.postmap("127.0.0.2", "pgsql:$config_directory/pgsql.cf"), "OK");
  assert.equal(await postfix.postmap("127.0.0.3", "mysql:$config_directory/mysql.cf"), "OK");
  assert.equal(await postfix.postmap("::1", "sqlite:$config_directory/sqlite.cf"), "OK");
  assert.equal(await postfix.postmap("127.0.0.4", "pgsql:$config_directory/pgsql.cf"), undefined);
  await pgsql.kill9();
  await assert.rejects(postfix.postmap("127.0.0.2", "pgsql:$config_directory/pgsql.cf"));
});

function account({ user, password, database }: DatabaseServer): string {
  return `user = ${user}\npassword = ${password}\ndbname = ${database}\n`;
}

for (const start of [startPostgres, startMariadb]) {
  test(start.name, async (t) => {
    await using server = await start();

    await t.test("keeps what was committed through kill -9", async () => {
      await server.query("CREATE TABLE t (n int)");
      await server.query("INSERT INTO t VALUES (1)");
      await server.kill9();
      await assert.rejects(server.query("SELECT n FROM t"));
      await server.start();
      assert.deepEqual(await server.query("SELECT n FROM t"), [{ n: 1 }]);
    });

    await t.test("hangs while paused", async () => {
      const events: string[] = [];
      server.pause();
      const answer = server.query("SELECT 1").then(() => events.push("answered"));
      await run("sleep", ["0.1"]);
      events.push("resumed");
      server.resume();
      await answer;
      assert.deepEqual(events, ["resumed", "answered"]);
    });

    await t.test("leaves nothing behind, paused or not", async () => {
      server.pause();
      await server[Symbol.asyncDispose]();
      await assert.rejects(server.query("SELECT 1"));
      assert.equal(existsSync(server.socket), false);
    });
  });
}
