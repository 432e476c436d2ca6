import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { openStore, postfixQuery, rolesText } from "../../src/writers/open-stores.ts";
import { account } from "../support/accounts.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { startPostgres } from "../support/postgres.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { LIFETIME, serverConfig, sqliteSubject, type Subject } from "./subject.ts";

/** What Postfix asks for besides addresses, and what clients would like it to ask. */
const NOT_THERE = [
  "client.example.net",
  "example.net",
  "192.0.2",
  "192.0.2.",
  "192.0.2.10",
  "2001:db8",
  "unknown",
  "' OR '1'='1",
  "\\' OR 1=1 -- ",
  '"',
  "%s",
  "''",
  "\u00fc.example.net",
];

let directory: TemporaryDirectory;
let postgres: DatabaseServer;
let mariadb: DatabaseServer;
let postfix: Postfix;
let sqlite: Subject;
const stack = new AsyncDisposableStack();

before(async () => {
  // root's own, which Postfix's group may read: root works in no other
  directory = stack.use(
    temporaryDirectory({
      mode: 0o750,
      owner: { ...account("postfix"), uid: process.getuid?.() ?? 0 },
    }),
  );
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
  stack.use(postgres);
  stack.use(mariadb);
  sqlite = sqliteSubject(directory.path);
  const files = Object.fromEntries(
    [serverConfig("pgsql", postgres), serverConfig("mysql", mariadb)].map((config) => [
      `${config.driver}.cf`,
      `hosts = ${config.hosts.join(" ")}:${String(config.port)}\ndbname = ${config.database}\n` +
        `user = popbsmtp_reader\npassword = secret\nquery = ${postfixQuery(config, LIFETIME)}\n`,
    ]),
  );
  const path = sqlite.config.driver === "sqlite" ? sqlite.config.path : "";
  files["sqlite.cf"] = `dbpath = ${path}\nquery = ${postfixQuery(sqlite.config, LIFETIME)}\n`;
  postfix = stack.use(await startPostfix({ files }));
});
after(() => stack.disposeAsync());

const login = (from: string, time: number) => {
  const address = parseAddress(from);
  assert.ok(address !== undefined);
  return { address, user: "bob", service: "imap", time };
};

/** Asks Postfix's own client of the map; several keys at once, as bytes, one a line. */
async function ask(driver: string, keys: string | Uint8Array): Promise<string> {
  const map = `${driver}:${join(postfix.directory, `${driver}.cf`)}`;
  const args = ["-c", postfix.directory, "-q", "-", map];
  const { status, stdout, stderr } = await run("postmap", args, { stdin: keys });
  assert.equal(stderr.toString(), "");
  assert.ok(status === 0 || status === 1);
  return stdout.toString();
}

for (const driver of ["pgsql", "mysql", "sqlite"] as const) {
  describe(`Postfix's query in ${driver}`, () => {
    before(async () => {
      const config =
        driver === "sqlite"
          ? sqlite.config
          : serverConfig(driver, driver === "pgsql" ? postgres : mariadb);
      const store = openStore(config, { lifetime: LIFETIME });
      try {
        await store.install();
        const now = Date.now();
        await store.authorize(
          [
            login("192.0.2.1", now),
            login("2001:db8::1", now - LIFETIME + 60_000),
            login("192.0.2.3", now - LIFETIME - 2_000),
          ],
          now,
        );
        if (config.driver === "pgsql") {
          await postgres.query(rolesText(config));
          await postgres.query("ALTER ROLE popbsmtp_reader PASSWORD 'secret'");
        }
        if (config.driver === "mysql") {
          await mariadb.query(rolesText(config));
          await mariadb.query(
            "ALTER USER popbsmtp_reader@'%' IDENTIFIED BY 'secret' ACCOUNT UNLOCK",
          );
        }
      } finally {
        await store.close();
      }
    });

    it("finds a live address, as the reader", async () => {
      assert.equal(
        await ask(driver, "192.0.2.1\n2001:db8::1\n"),
        "192.0.2.1\tOK\n2001:db8::1\tOK\n",
      );
    });

    it("finds no expired one", async () => {
      assert.equal(await ask(driver, "192.0.2.3\n"), "");
    });

    it("finds nothing, and fails on nothing, that is no address", async () => {
      assert.equal(await ask(driver, `${NOT_THERE.join("\n")}\n`), "");
    });

    it("finds nothing for bytes that are no text", async () => {
      assert.equal(await ask(driver, Buffer.from([0xff, 0xfe, 0x27, 0xc3, 0x28, 0x0a])), "");
    });
  });
}

it("a SQLite file is readable for Postfix's account alone, not for everybody", async () => {
  const path = sqlite.config.driver === "sqlite" ? sqlite.config.path : "";
  chmodSync(directory.path, 0o755);
  const nobody = account("nobody");
  const { status, stderr } = await run("sqlite3", ["-readonly", path, "SELECT 1 FROM popbsmtp"], {
    uid: nobody.uid,
    gid: nobody.gid,
  });
  assert.notEqual(status, 0);
  assert.match(stderr.toString(), /unable to open database file/);
});
