import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { test } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import type { Config } from "../../../../src/config/config.ts";
import { loadConfig } from "../../../../src/config/reading/load.ts";
import { ConfigError } from "../../../../src/lib/errors.ts";
import { Formats } from "../../../../src/mail-formats/formats.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const PASSWORD = "correct horse";

/** Loads a file with this text. `DIR` in it and in the problems stands for the directory. */
async function load(
  text: string | Uint8Array,
  files: Readonly<Record<string, string>> = {},
): Promise<Config> {
  await using directory = temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory.path, name), content);
  }
  const path = join(directory.path, "popbsmtp.toml");
  writeFileSync(path, typeof text === "string" ? text.replaceAll("DIR", directory.path) : text);
  try {
    return await loadConfig(path);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(!inspect(error, { depth: 9 }).includes(PASSWORD), "the password shows");
    throw new ConfigError(error.problems.map((line) => line.replaceAll(directory.path, "DIR")));
  }
}

async function problems(
  text: string | Uint8Array,
  files?: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  try {
    await load(text, files);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map((line) => {
      assert.ok(line.startsWith("DIR/popbsmtp.toml: "), line);
      return line.slice("DIR/popbsmtp.toml: ".length);
    });
  }
  return [];
}

const PGSQL = '[store]\ndriver = "pgsql"\ndatabase = "mail"\n';
const MYSQL = '[store]\ndriver = "mysql"\ndatabase = "mail"\n';
const RELAY_CTRL = '[store]\ndriver = "relay-ctrl"\n';
const DRAC = '[store]\ndriver = "drac"\n';
const SQLITE = '[store]\ndriver = "sqlite"\n';

test("without a file at the default path the defaults apply: SQLite in /var/lib/popbsmtp", async () => {
  await using directory = temporaryDirectory();
  const config = await loadConfig(undefined, join(directory.path, "none", "popbsmtp.toml"));
  assert.deepEqual(config, {
    path: undefined,
    spool: "/var/spool/popbsmtp",
    lifetime: 1_800_000,
    user: "popbsmtp",
    linger: 60_000,
    exclude: [],
    stores: [
      {
        driver: "sqlite",
        path: "/var/lib/popbsmtp/popbsmtp.db",
        table: "popbsmtp",
        mapped: false,
        columns: {
          address: "address",
          user: "user",
          service: "service",
          firstSeen: "first_seen",
          lastSeen: "last_seen",
          logins: "logins",
        },
      },
    ],
    serve: {
      dict: { path: "/run/popbsmtp/dict" },
      dictGroup: undefined,
      imap: { path: "/run/popbsmtp/imap" },
      pop3: { path: "/run/popbsmtp/pop3" },
      policy: [{ path: "/run/popbsmtp/policy" }],
      socketmap: [{ path: "/run/popbsmtp/socketmap" }],
      metrics: undefined,
      drac: undefined,
      dracAllow: undefined,
      relayCtrlUdp: undefined,
      relayCtrlAllow: [],
      deadline: 200,
      purgeInterval: 3_600_000,
      logLevel: "info",
    },
    watch: {
      files: ["/var/log/mail.log"],
      formats: Formats.named("auto"),
      quietAfter: 6 * 3_600_000,
      inDaemon: false,
    },
    allow: { users: undefined, networks: undefined, services: undefined },
  });
});

test("an empty file selects the defaults, too", async () => {
  const { path, ...rest } = await load("");
  assert.match(path ?? "", /popbsmtp\.toml$/);
  assert.deepEqual(
    rest.stores.map(({ driver }) => driver),
    ["sqlite"],
  );
});

test("a missing file is an error if it was named", async () => {
  await assert.rejects(loadConfig("/nonexistent/popbsmtp.toml"), {
    name: "ConfigError",
    exitStatus: 78,
    message: "/nonexistent/popbsmtp.toml: there is no such file",
  });
});

test("a directory in place of the file is an error", async () => {
  await assert.rejects(loadConfig("/tmp"), { message: "/tmp: is a directory; expected a file" });
});

test("every setting is read", async () => {
  const config = await load(
    `
spool = "/srv/spool" # with a comment
lifetime = "1h"
user = "mailrelay"
linger = "0s"
exclude = ["192.168.0.0/16", "2001:db8::/32"]
[store]
driver = "pgsql"
host = ["db1.example.org", "/run/postgresql", "2001:db8::5"]
port = 6432
database = "mail"
user = "writer"
password-file = "DIR/password"
table = "mail.relay"
ssl = { ca = "DIR/ca.pem", reject-unauthorized = false }
[store.columns]
address = "host"
last-seen = "accessed"
[store.purger]
user = "purger"
password = "p"
[store.reader]
password = "r"
`,
    { password: `${PASSWORD}\n`, "ca.pem": "-----BEGIN CERTIFICATE-----\n" },
  );
  const [store, ...others] = config.stores;
  assert.ok(store?.driver === "pgsql" && others.length === 0);
  assert.equal(config.spool, "/srv/spool");
  assert.equal(config.lifetime, 3_600_000);
  assert.equal(config.linger, 0);
  assert.equal(config.user, "mailrelay");
  const [network] = config.exclude;
  const inside = parseAddress("192.168.1.1");
  assert.ok(network !== undefined && inside !== undefined && network.contains(inside));
  assert.deepEqual(store.hosts, ["db1.example.org", "/run/postgresql", "2001:db8::5"]);
  assert.equal(store.port, 6432);
  assert.equal(store.table, "mail.relay");
  assert.equal(store.mapped, true);
  assert.equal(store.columns.lastSeen, "accessed");
  assert.equal(store.columns.user, undefined);
  assert.equal(store.writer.password?.reveal(), PASSWORD);
  assert.equal(store.purger?.user, "purger");
  assert.equal(store.purger?.password?.reveal(), "p");
  assert.equal(store.reader.user, "popbsmtp_reader");
  assert.equal(store.reader.password?.reveal(), "r");
  assert.equal(store.ssl?.rejectUnauthorized, false);
  assert.equal(store.ssl?.ca, "-----BEGIN CERTIFICATE-----\n");
});

test("a database without a host is at Debian's socket on this host", async () => {
  const [pgsql] = (await load(PGSQL)).stores;
  assert.ok(pgsql?.driver === "pgsql");
  assert.deepEqual([pgsql.hosts, pgsql.port], [["/var/run/postgresql"], 5432]);
  const [mysql] = (await load(MYSQL)).stores;
  assert.ok(mysql?.driver === "mysql");
  assert.deepEqual([mysql.hosts, mysql.port], [["/run/mysqld/mysqld.sock"], 3306]);
  assert.equal(mysql.writer.user, "popbsmtp");
  assert.equal(mysql.ssl, undefined);
});

test("several stores are kept in the order of the file", async () => {
  const { stores } = await load(
    `[[store]]\ndriver = "mysql"\ndatabase = "mail"\n[[store]]\ndriver = "sqlite"\n[[store]]\ndriver = "sqlite"\ntable = "other"\n`,
  );
  assert.deepEqual(
    stores.map(({ driver }) => driver),
    ["mysql", "sqlite", "sqlite"],
  );
});

test("a section that names several hosts becomes a store for each", async () => {
  const { stores } = await load(
    `[[store]]\ndriver = "drac"\nhosts = ["a.example.org", "192.0.2.1"]\n[[store]]\ndriver = "relay-ctrl"\nremotes = ["b.example.org", "2001:db8::1"]\ntimeout = "500ms"\n`,
  );
  const remote = { driver: "relay-ctrl-udp", port: 811, tries: 5, timeout: 500 };
  assert.deepEqual(stores, [
    { driver: "drac", host: "a.example.org" },
    { driver: "drac", host: "192.0.2.1" },
    { driver: "relay-ctrl", path: "/var/spool/relay-ctrl/allow" },
    { ...remote, host: "b.example.org" },
    { ...remote, host: "2001:db8::1" },
  ]);
});

test("a relay-ctrl section may consist of remotes only", async () => {
  const { stores } = await load(`${RELAY_CTRL}path = false\nremotes = ["b.example.org"]\n`);
  assert.deepEqual(
    stores.map(({ driver }) => driver),
    ["relay-ctrl-udp"],
  );
});

test("ssl = true trusts the system's authorities, false disables TLS", async () => {
  const [on] = (await load(`${PGSQL}ssl = true`)).stores;
  assert.ok(on?.driver === "pgsql");
  assert.deepEqual(on.ssl, { ca: undefined, rejectUnauthorized: true });
  const [off] = (await load(`${PGSQL}ssl = false`)).stores;
  assert.ok(off?.driver === "pgsql");
  assert.equal(off.ssl, undefined);
});

test("users in the list and in the file are allowed", async () => {
  const { allow } = await load(
    '[allow]\nusers = ["bob"]\nusers-file = "DIR/users"\nservices = ["pop3"]\nnetworks = ["192.0.2.0/24"]\n',
    { users: "# devices\n\n  scanner \r\n*@devices.example.org\n" },
  );
  const known = ["bob", "scanner", "x@devices.example.org", "eve", "# devices", ""];
  assert.deepEqual(
    known.filter((user) => allow.users?.has(user)),
    ["bob", "scanner", "x@devices.example.org"],
  );
  assert.deepEqual(allow.services, ["pop3"]);
  assert.equal(allow.networks?.length, 1);
});

test("the configuration cannot be changed afterwards", async () => {
  const config = await load(PGSQL);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.stores));
  const [store] = config.stores;
  assert.ok(store?.driver === "pgsql");
  assert.ok(Object.isFrozen(store.columns) && Object.isFrozen(config.exclude));
  assert.ok(Object.isFrozen(config.serve) && Object.isFrozen(config.serve.policy));
});

test("a printed configuration does not show passwords", async () => {
  const config = await load(`${PGSQL}password = "${PASSWORD}"`);
  assert.ok(!inspect(config, { depth: 9, showHidden: true }).includes(PASSWORD));
  assert.ok(!JSON.stringify(config).includes(PASSWORD));
});

test("all problems are reported at once", async () => {
  const found = await problems(
    `lifetime = "30"\nlinger = 5\n${PGSQL}host = []\nport = 0\npasword = "x"`,
  );
  assert.deepEqual(
    found.map((line) => line.split(": ")[0]),
    ["lifetime", "linger", "store.host", "store.port", "store.pasword"],
  );
});

const SQLITES = '[[store]]\ndriver = "sqlite"\n'.repeat(2);

const one: Readonly<Record<string, string>> = {
  'lifetime = "0s"': 'lifetime: "0s" is out of bounds; expected 1s to 7d',
  'lifetime = "8d"': 'lifetime: "8d" is out of bounds; expected 1s to 7d',
  "lifetime = 30": 'lifetime: expected a time such as "30m", "90s" or "1h30m"',
  'lifetme = "1h"': "lifetme: unknown key; did you mean lifetime?",
  'host = "db.example.org"': "host: belongs in the section [store]",
  'exclude = "192.0.2.0/24"':
    'exclude: expected a list of networks such as ["192.0.2.0/24"], or "postfix"',
  'exclude = ["192.168.\\u001b"]':
    'exclude: "192.168.\\u001b" is no network; expected an address and a prefix length, such as "192.0.2.0/24" or "2001:db8::/32"',
  'user = "a b"': "user: expected the name of a system account",
  "store = 5": "store: expected a section",
  "[store]": 'store.driver: expected "pgsql", "mysql", "sqlite", "relay-ctrl" or "drac"',
  '[store]\ndriver = "postgres"': 'store.driver: "postgres" is no driver; did you mean "pgsql"?',
  '[store]\ndriver = "mariadb"': 'store.driver: "mariadb" is no driver; did you mean "mysql"?',
  '[store]\ndriver = "oracle"':
    'store.driver: expected "pgsql", "mysql", "sqlite", "relay-ctrl" or "drac"',
  '[store]\ndriver = "pgsql"': "store.database: is missing",
  [`${PGSQL}host = 5`]: "store.host: expected a name or a list of names",
  [`${PGSQL}host = []`]: "store.host: expected a name or a list of names",
  [`${PGSQL}host = "db.example.org:5433"`]:
    'store.host: "db.example.org:5433" has a port in it; write host = "db.example.org" and port = 5433',
  [`${PGSQL}host = "a b"`]:
    'store.host: "a b" is no host; expected a name, an address or a Unix socket\'s path',
  [`${PGSQL}port = 65536`]: "store.port: expected a port number, 1 to 65535",
  [`${PGSQL}path = "/x"`]: 'store.path: not a key of driver "pgsql"',
  [`${SQLITE}host = "db"`]: 'store.host: not a key of driver "sqlite"',
  [`${SQLITE}path = "x.db"`]: "store.path: expected a path from the root",
  [`${SQLITE}hosts = ["a"]`]: 'store.hosts: not a key of driver "sqlite"',
  [`${RELAY_CTRL}table = "x"`]: 'store.table: not a key of driver "relay-ctrl"',
  [`${RELAY_CTRL}path = "allow"`]: "store.path: expected a path from the root",
  [`${RELAY_CTRL}path = false`]:
    "store: neither a directory (path) nor remotes: logins would go nowhere",
  [`${RELAY_CTRL}remotes = "mx2"`]:
    'store.remotes: expected a list of hosts such as ["mx2.example.org"]',
  [`${RELAY_CTRL}remotes = ["/mx2"]`]:
    'store.remotes: "/mx2" is no host; expected a name or an address',
  [`${RELAY_CTRL}tries = 0`]: "store.tries: expected a number, 1 to 100",
  [`${RELAY_CTRL}timeout = "2m"`]: 'store.timeout: "2m" is out of bounds; expected 10ms to 1m',
  [DRAC]: "store.hosts: is missing",
  [`${DRAC}hosts = []`]: 'store.hosts: expected a list of hosts such as ["mx2.example.org"]',
  "store = []": "store: expected a section",
  "store = [5]": "store: expected a section",
  [`${SQLITES}path = "x.db"`]: "store 2.path: expected a path from the root",
  [SQLITES]: "store: sqlite /var/lib/popbsmtp/popbsmtp.db popbsmtp is there twice",
  [`${PGSQL}lifetime = "1h"`]:
    "store.lifetime: belongs at the top of the file, before the first [section]",
  [`${PGSQL}table = "x; DROP"`]:
    "store.table: expected a name of letters, digits and _, or schema.name",
  [`${MYSQL}table = "mail.x"`]:
    "store.table: expected a name of letters, digits and _, at most 63, that does not begin with a digit",
  [`${PGSQL}columns = { address = "host" }`]: "store.columns.last-seen: is missing",
  [`${PGSQL}columns = { address = "a", last-seen = "a" }`]:
    "store.columns: two keys name the same column",
  [`${PGSQL}columns = { address = "a", last_seen = "b", last-seen = "c" }`]:
    "store.columns.last_seen: unknown key; did you mean last-seen?",
  [`${PGSQL}password = ""`]: "store.password: expected a password of one line",
  [`${PGSQL}password-file = "DIR/none"`]: "store.password-file: DIR/none: there is no such file",
  [`${PGSQL}password-file = "DIR"`]: "store.password-file: DIR: is a directory; expected a file",
  [`${PGSQL}reader = { password-file = "DIR/none" }`]:
    "store.reader.password-file: DIR/none: there is no such file",
  [`${PGSQL}ssl = "yes"`]:
    "store.ssl: expected true, false or a section with ca and reject-unauthorized",
  [`${PGSQL}ssl = { ca = "DIR/popbsmtp.toml" }`]:
    "store.ssl.ca: DIR/popbsmtp.toml: expected certificates in PEM form",
  "[server]": "server: unknown key; did you mean serve?",
  "[milter]":
    "milter: unknown key; known here: spool, lifetime, user, linger, exclude, store, serve, watch, allow",
  'users = ["bob"]': "users: belongs in the section [allow]",
  "[allow]\nusers = []":
    'allow.users: expected a list of users such as ["scanner@example.org", "*@devices.example.org"]; with none, no login would count',
  '[allow]\nusers = "bob"':
    'allow.users: expected a list of users such as ["scanner@example.org", "*@devices.example.org"]',
  '[allow]\nusers-file = "users"': "allow.users-file: expected a path from the root",
  '[allow]\nusers-file = "DIR/none"': "allow.users-file: DIR/none: there is no such file",
  '[allow]\nnetworks = ["here"]':
    'allow.networks: "here" is no network; expected an address and a prefix length, such as "192.0.2.0/24" or "2001:db8::/32"',
  "[allow]\nservices = []":
    'allow.services: expected a list of services such as ["imap", "pop3"]; with none, no login would count',
  '[allow]\nnetwork = ["bob"]': "allow.network: unknown key; did you mean networks?",
};

for (const [text, problem] of Object.entries(one)) {
  test(`${JSON.stringify(text)}: ${problem}`, async () => {
    assert.deepEqual(await problems(text), [problem]);
  });
}

test("a password can be given in only one way", async () => {
  assert.deepEqual(
    await problems(`${PGSQL}password = "${PASSWORD}"\npassword-file = "DIR/p"`, { p: "x\n" }),
    ["store.password-file: there is also password; keep one of them"],
  );
});

test("a password file has one line", async () => {
  assert.deepEqual(
    await problems(`${PGSQL}password-file = "DIR/p"`, { p: `${PASSWORD}\nsecond\n` }),
    ["store.password-file: DIR/p: expected a password on one line and nothing else"],
  );
});

test("a syntax error is reported with its line and column, without quoting the line", async () => {
  assert.deepEqual(await problems(`[store]\npassword = "${PASSWORD}\n`), [
    "line 2, column 26: control characters are not allowed in strings",
  ]);
  assert.deepEqual(await problems(`password = ${PASSWORD}`), ["line 1, column 12: invalid value"]);
});

test("a file that is not UTF-8 is an error", async () => {
  assert.deepEqual(await problems(Buffer.from('user = "\xff"', "latin1")), [
    "is not UTF-8, which TOML has to be; convert it with iconv(1)",
  ]);
});

const SPOOL_PROBLEM =
  'spool: the wrapper cannot read it like this; write it at the top as a line of its own, spool = "/var/spool/popbsmtp"';

for (const text of [
  'spool = """/srv/spool"""',
  "spool = '''/srv/spool'''",
  String.raw`spool = "/srv/\u0073pool"`,
  '"spool" = "/srv/spool"',
  "exclude = ['''\nspool = \"/srv/other\"\n''']\nspool = \"/srv/spool\"",
]) {
  test(`the spool is rejected if the wrapper would not find it: ${JSON.stringify(text)}`, async () => {
    assert.ok((await problems(text)).includes(SPOOL_PROBLEM));
  });
}

for (const text of [
  'spool="/srv/spool"',
  "\tspool\t=\t'/srv/spool'\t# comment",
  '# spool = "/srv/other"\nuser = "x"\nspool = "/srv/spool"\r\n[store]\r\ndriver = "sqlite"\r\n',
]) {
  test(`the spool can be given as ${JSON.stringify(text)}`, async () => {
    assert.equal((await load(text)).spool, "/srv/spool");
  });
}

test("a key spool in a section does not set the spool", async () => {
  assert.deepEqual(await problems(`${SQLITE}spool = "/srv/spool"`), [
    "store.spool: belongs at the top of the file, before the first [section]",
  ]);
});

test("a file in a directory that cannot be searched is a permission error", async () => {
  // root may read everything: become somebody else for the moment
  await using directory = temporaryDirectory({ mode: 0o755 });
  const closed = join(directory.path, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o000);
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.("nobody");
  try {
    await assert.rejects(loadConfig(join(closed, "popbsmtp.toml")), {
      exitStatus: 77,
      message: /permission denied; run popbsmtp as root/,
    });
  } finally {
    if (root) process.seteuid?.(0);
  }
});
