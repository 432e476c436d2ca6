import assert from "node:assert/strict";
import { test } from "node:test";
import { mainLines, mapLines } from "../../../src/setup/print-postfix.ts";
import { Secret, type ServerStoreConfig } from "../../../src/config/config.ts";
import { serverWith } from "../../support/config.ts";

const QUERY = "SELECT 'OK'\n  WHERE '%s' = 'x'\n";

function server(changes: Partial<ServerStoreConfig>): ServerStoreConfig {
  return serverWith({
    writer: { user: "popbsmtp", password: new Secret("the writer's") },
    reader: { user: "popbsmtp_reader", password: new Secret("r'e #$ad") },
    ...changes,
  });
}

/** The map without its comments. */
function settings(changes: Partial<ServerStoreConfig>): readonly string[] {
  return mapLines(server(changes), QUERY).filter((line) => !line.startsWith("#"));
}

test("a map names the host, the reading account and the query in one line", () => {
  assert.deepEqual(settings({}), [
    "hosts = inet:db.example.org:5432",
    "user = popbsmtp_reader",
    "password = r'e #$ad",
    "dbname = mail",
    "query = SELECT 'OK' WHERE '%s' = 'x'",
  ]);
});

test("sockets and IPv6 addresses are written as Postfix splits them", () => {
  const hosts = ["/run/mysqld/mysqld.sock", "2001:db8::5"];
  assert.equal(
    settings({ driver: "mysql", hosts, port: 3306 })[0],
    "hosts = unix:/run/mysqld/mysqld.sock inet:2001:db8::5:3306",
  );
});

test("the port of a PostgreSQL socket is in the connection string", () => {
  assert.ok(
    settings({ hosts: ["/run/postgresql"], port: 5433, database: "it's" }).includes(
      String.raw`dbname = dbname='it\'s' port='5433'`,
    ),
  );
});

test("the map requires TLS as the configuration does", () => {
  const ssl = { ca: "PEM", caFile: "/etc/ssl/db.pem", rejectUnauthorized: true };
  assert.ok(
    settings({ ssl }).includes(
      "dbname = dbname='mail' sslmode='verify-full' sslrootcert='/etc/ssl/db.pem'",
    ),
  );
  assert.ok(
    settings({ ssl: { ca: undefined, rejectUnauthorized: false } }).includes(
      "dbname = dbname='mail' sslmode='require'",
    ),
  );
  assert.deepEqual(settings({ driver: "mysql", ssl }).slice(-3, -1), [
    "tls_CAfile = /etc/ssl/db.pem",
    "tls_verify_cert = yes",
  ]);
});

test("the map never contains the writer's password; without the reader's, it has a placeholder", () => {
  const lines = mapLines(server({ reader: { user: "r", password: undefined } }), QUERY);
  assert.ok(!lines.join("\n").includes("the writer's"));
  assert.ok(lines.some((line) => line.startsWith("# password = ")));
});

test("a password that a map cannot contain is rejected without being shown", () => {
  assert.throws(() => settings({ reader: { user: "r", password: new Secret(" x") } }), {
    exitStatus: 78,
    message:
      "store.reader.password: begins or ends with a blank, which a Postfix map cannot express; choose another password",
  });
});

test("main.cf asks the map after permit_auth_destination, so never about inbound mail", () => {
  const setting = mainLines("mysql").filter((line) => !line.startsWith("#"));
  assert.deepEqual(setting, [
    "smtpd_relay_restrictions =",
    "    permit_mynetworks,",
    "    permit_sasl_authenticated,",
    "    permit_auth_destination,",
    "    check_client_access pipemap:{ regexp:{{/^([0-9a-f.:]+)$$/ $$1}}, proxy:mysql:/etc/postfix/popbsmtp.cf },",
    "    defer_unauth_destination",
  ]);
});
