import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ServeConfig } from "../../../../src/config/config.ts";
import { loadConfig } from "../../../../src/config/reading/load.ts";
import { ConfigError } from "../../../../src/lib/errors.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** What [serve] with these lines in it means. */
async function serve(lines: string): Promise<ServeConfig> {
  return load(`[serve]\n${lines}\n`);
}

async function load(text: string): Promise<ServeConfig> {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "popbsmtp.toml");
  writeFileSync(path, text);
  try {
    return (await loadConfig(path)).serve;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.map((problem) => problem.replace(`${path}: `, "")));
  }
}

async function problems(text: string): Promise<readonly string[]> {
  try {
    await load(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test("an empty section selects the defaults", async () => {
  assert.deepEqual(await serve(""), await load(""));
});

test("every setting of the daemon is read", async () => {
  const config = await serve(`
dict = "/run/dovecot/popbsmtp-dict"
dict-group = "mail"
imap = "/run/dovecot/popbsmtp-imap"
pop3 = "/run/dovecot/popbsmtp-pop3"
policy = ["/var/spool/postfix/private/popbsmtp", "127.0.0.1:10040", "[::1]:10040"]
socketmap = "127.0.0.2:10041"
metrics = "[2001:db8::1]:9154"
drac = "0.0.0.0:4711"
relay-ctrl-udp = "[::]:811"
deadline = "1s"
purge-interval = "1d"
log-level = "debug"
`);
  assert.deepEqual(config, {
    dict: { path: "/run/dovecot/popbsmtp-dict" },
    dictGroup: "mail",
    imap: { path: "/run/dovecot/popbsmtp-imap" },
    pop3: { path: "/run/dovecot/popbsmtp-pop3" },
    policy: [
      { path: "/var/spool/postfix/private/popbsmtp" },
      { host: "127.0.0.1", port: 10040 },
      { host: "::1", port: 10040 },
    ],
    socketmap: [{ host: "127.0.0.2", port: 10041 }],
    metrics: { host: "2001:db8::1", port: 9154 },
    drac: { host: "0.0.0.0", port: 4711 },
    dracAllow: undefined,
    relayCtrlUdp: { host: "::", port: 811 },
    relayCtrlAllow: [],
    deadline: 1000,
    purgeInterval: 86_400_000,
    logLevel: "debug",
  });
});

test("each endpoint can be disabled", async () => {
  const config = await serve(
    "dict = false\nimap = false\npop3 = false\npolicy = false\nsocketmap = []\nmetrics = false",
  );
  assert.deepEqual(
    [config.dict, config.imap, config.pop3, config.policy, config.socketmap, config.metrics],
    [undefined, undefined, undefined, [], [], undefined],
  );
});

test("metrics can be served at a Unix socket", async () => {
  assert.deepEqual((await serve('metrics = "/run/popbsmtp/metrics"')).metrics, {
    path: "/run/popbsmtp/metrics",
  });
});

test("the deadline and the purge interval can be 0", async () => {
  const { deadline, purgeInterval } = await serve('deadline = "0s"\npurge-interval = "0s"');
  assert.deepEqual([deadline, purgeInterval], [0, 0]);
});

test("by default, no host can report logins over the network", async () => {
  for (const config of [await serve(""), await serve("drac = false\nrelay-ctrl-udp = false")]) {
    assert.deepEqual([config.drac, config.relayCtrlUdp], [undefined, undefined]);
  }
});

test("DRAC can use any free port", async () => {
  assert.deepEqual((await serve("drac = true")).drac, { host: "0.0.0.0", port: 0 });
});

test("the networks that may report logins are a list, which may be empty", async () => {
  const networks = '["192.0.2.0/24", "198.51.100.1"]';
  const config = await serve(`drac-allow = ${networks}\nrelay-ctrl-allow = ${networks}`);
  for (const allowed of [config.dracAllow, config.relayCtrlAllow]) {
    assert.deepEqual(
      allowed?.map(({ text }) => text),
      ["192.0.2.0/24", "198.51.100.1"],
    );
  }
  assert.deepEqual((await serve("drac-allow = []")).dracAllow, []);
});

test("the address of an endpoint gets its canonical spelling", async () => {
  assert.deepEqual((await serve('policy = "[0:0::0:1]:10040"')).policy, [
    { host: "::1", port: 10040 },
  ]);
});

const A_PATH = "a socket's path from the root";
const A_PLACE = `${A_PATH}, or an address and a port such as "127.0.0.1:1004" or "[::1]:1004"`;
const A_PORT = 'true, false, or an IPv4 address and a port such as "0.0.0.0:4711"';
const LONG = `/${"x".repeat(107)}`;

const one: Readonly<Record<string, string>> = {
  "dict = true": `serve.dict: expected ${A_PATH}, or false`,
  "dict-group = 8": "serve.dict-group: expected a group's name",
  'dict-group = "my group"': "serve.dict-group: expected a group's name",
  'dict = "/run/x"\nimap = "/run/x"': "serve: dict and imap listen on the same /run/x",
  "imap = 5": `serve.imap: expected ${A_PATH}, or false`,
  "imap = true": `serve.imap: expected ${A_PATH}, or false`,
  'imap = "popbsmtp-imap"': `serve.imap: expected ${A_PATH}, or false`,
  'imap = "127.0.0.1:10039"': `serve.imap: expected ${A_PATH}, or false`,
  'pop3 = "/run/a\\u0000b"': `serve.pop3: expected ${A_PATH}, or false`,
  [`pop3 = "${LONG}"`]: "serve.pop3: the path is too long; a socket's may have 107 bytes",
  [`policy = "${LONG}"`]: "serve.policy: the path is too long; a socket's may have 107 bytes",
  "policy = 10040": `serve.policy: expected ${A_PLACE}, or false`,
  "policy = [10040]": `serve.policy: expected ${A_PLACE}, or false`,
  'policy = "localhost:10040"': `serve.policy: "localhost:10040" is no place to listen; expected ${A_PLACE}`,
  'policy = "::1:10040"': `serve.policy: "::1:10040" is no place to listen; expected ${A_PLACE}`,
  'policy = "127.0.0.1"': `serve.policy: "127.0.0.1" is no place to listen; expected ${A_PLACE}`,
  'policy = "127.0.0.1:0"': `serve.policy: "127.0.0.1:0" is no place to listen; expected ${A_PLACE}`,
  'policy = "127.0.0.1:65536"': `serve.policy: "127.0.0.1:65536" is no place to listen; expected ${A_PLACE}`,
  'policy = "[\\u202e]:1"': `serve.policy: "[\\u202e]:1" is no place to listen; expected ${A_PLACE}`,
  'policy = "192.0.2.1:10040"':
    'serve.policy: "192.0.2.1:10040" is not on loopback: anybody who reaches it could ask who may relay; expected "127.0.0.1:10040", "[::1]:10040" or a path',
  'socketmap = ["/run/s", "[::]:10041"]':
    'serve.socketmap: "[::]:10041" is not on loopback: anybody who reaches it could ask who may relay; expected "127.0.0.1:10041", "[::1]:10041" or a path',
  'metrics = "9154"': `serve.metrics: "9154" is no place to listen; expected ${A_PLACE}`,
  "drac = 4711": `serve.drac: expected ${A_PORT}`,
  'drac = "/run/drac"': `serve.drac: "/run/drac" is no place to listen; expected ${A_PORT}`,
  'drac = "localhost:4711"': `serve.drac: "localhost:4711" is no place to listen; expected ${A_PORT}`,
  'drac = "[::]:4711"': `serve.drac: "[::]:4711" is no IPv4 address and port, and DRAC knows no other; expected ${A_PORT}`,
  "relay-ctrl-udp = true":
    'serve.relay-ctrl-udp: expected an address and a port such as "0.0.0.0:811", or false',
  'relay-ctrl-udp = "/run/x"':
    'serve.relay-ctrl-udp: "/run/x" is no place to listen; expected an address and a port such as "0.0.0.0:811", or false',
  'relay-ctrl-allow = "192.0.2.0/24"':
    'serve.relay-ctrl-allow: expected a list of networks such as ["192.0.2.0/24"]',
  "drac-allow = true":
    'serve.drac-allow: expected a path, or a list of networks such as ["192.0.2.0/24"]',
  'drac-allow = ["192.0.2.0/33"]':
    'serve.drac-allow: "192.0.2.0/33" is no network; expected an address and a prefix length, such as "192.0.2.0/24" or "2001:db8::/32"',
  'drac-allow = "/no/such/file"': "serve.drac-allow: /no/such/file: there is no such file",
  'drac = "127.0.0.1:4711"\nrelay-ctrl-udp = "127.0.0.1:4711"':
    "serve: drac and relay-ctrl-udp listen on the same 127.0.0.1:4711",
  'deadline = "1m"': 'serve.deadline: "1m" is out of bounds; expected 0s to 30s',
  'purge-interval = "1s"':
    'serve.purge-interval: "1s" is out of bounds; expected 1m to 7d, or "0s" for never',
  'log-level = "verbose"': 'serve.log-level: expected "debug", "info", "warning" or "error"',
  'imap = "/run/x"\npop3 = "/run/x"': "serve: imap and pop3 listen on the same /run/x",
  'policy = ["/run/x", "[::1]:1"]\nsocketmap = "[0::1]:1"':
    "serve: policy and socketmap listen on the same [::1]:1",
  'policy = ["/run/x", "/run/x"]': "serve: policy has /run/x twice",
  'dead-line = "1s"': "serve.dead-line: unknown key; did you mean deadline?",
  'lifetime = "1h"': "serve.lifetime: belongs at the top of the file, before the first [section]",
  'host = "db.example.org"': "serve.host: belongs in the section [store]",
};

for (const [lines, problem] of Object.entries(one)) {
  test(`${JSON.stringify(lines)}: ${problem}`, async () => {
    assert.deepEqual(await problems(`[serve]\n${lines}\n`), [problem]);
  });
}

test("a misplaced key of the daemon is reported with the right section", async () => {
  assert.deepEqual(
    await problems('policy = false\n[store]\ndriver = "sqlite"\ndeadline = "1s"\n'),
    ["store.deadline: belongs in the section [serve]", "policy: belongs in the section [serve]"],
  );
});

test("all problems of the section are reported at once, with those of other sections", async () => {
  const found = await problems(
    'linger = 5\n[serve]\nimap = 1\npolicy = ["x", "y"]\ndeadline = "x"\nlog-level = 7\n',
  );
  assert.deepEqual(
    found.map((problem) => problem.split(": ")[0]),
    ["linger", "serve.imap", "serve.policy", "serve.policy", "serve.deadline", "serve.log-level"],
  );
});
