import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { serviceUnit, socketUnit, unitLines } from "../../../src/setup/print-systemd.ts";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/reading/load.ts";
import { run } from "../../support/run.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const PROGRAM = ["/usr/bin/popbsmtp"];

async function configured(text = ""): Promise<Config> {
  await using directory = temporaryDirectory();
  const file = join(directory.path, "popbsmtp.toml");
  writeFileSync(file, text);
  return { ...(await loadConfig(file)), path: undefined };
}

/** A unit's lines of one key. */
function values(unit: readonly string[], key: string): readonly string[] {
  return unit
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}

test("the daemon runs as its user from the start, and may write to its spool and its database", async () => {
  const unit = serviceUnit(await configured(), PROGRAM);
  assert.deepEqual(values(unit, "ExecStart"), ["/usr/bin/popbsmtp serve"]);
  assert.deepEqual(values(unit, "User"), ["popbsmtp"]);
  assert.deepEqual(values(unit, "ReadWritePaths"), ["/var/spool/popbsmtp -/var/lib/popbsmtp"]);
  const pgsql = await configured('[store]\ndriver = "pgsql"\ndatabase = "mail"\n');
  assert.deepEqual(values(serviceUnit(pgsql, PROGRAM), "ReadWritePaths"), ["/var/spool/popbsmtp"]);
});

test("systemd starts the daemon again within a tenth of a second, and never gives up", async () => {
  const config = await configured();
  const unit = serviceUnit(config, PROGRAM);
  assert.deepEqual(values(unit, "Restart"), ["always"]);
  assert.deepEqual(values(unit, "RestartSec"), ["100ms"]);
  assert.deepEqual(values(unit, "WatchdogSec"), ["5"]);
  assert.deepEqual(values(unit, "StartLimitIntervalSec"), ["0"]);
  assert.deepEqual(values(socketUnit(config.serve, "imap"), "TriggerLimitIntervalSec"), ["0"]);
});

test("each role has a socket of its own, and only root can report logins", async () => {
  const config = await configured(
    '[serve]\npop3 = false\npolicy = ["/run/popbsmtp/policy", "127.0.0.1:10040"]\nmetrics = "127.0.0.1:9154"\n',
  );
  assert.deepEqual(values(serviceUnit(config, PROGRAM), "Sockets"), [
    "popbsmtp-dict.socket popbsmtp-imap.socket popbsmtp-policy.socket popbsmtp-socketmap.socket popbsmtp-metrics.socket",
  ]);
  const imap = socketUnit(config.serve, "imap");
  assert.deepEqual(values(imap, "ListenStream"), ["/run/popbsmtp/imap"]);
  assert.deepEqual(values(imap, "SocketMode"), ["0600"]);
  const policy = socketUnit(config.serve, "policy");
  assert.deepEqual(values(policy, "ListenStream"), ["/run/popbsmtp/policy", "127.0.0.1:10040"]);
  assert.deepEqual(values(policy, "SocketMode"), ["0666"]);
  assert.throws(() => socketUnit(config.serve, "pop3"), {
    exitStatus: 78,
    message: "serve.pop3: the daemon has no socket for it",
  });
});

test("the socket for Dovecot's plugin is for root and the group of Dovecot's mail processes", async () => {
  const stock = socketUnit((await configured()).serve, "dict");
  assert.deepEqual(values(stock, "ListenStream"), ["/run/popbsmtp/dict"]);
  assert.deepEqual(values(stock, "SocketMode"), ["0660"]);
  assert.deepEqual(values(stock, "SocketGroup"), ["dovecot"]);
  const { serve } = await configured('[serve]\ndict-group = "mail"\n');
  assert.deepEqual(values(socketUnit(serve, "dict"), "SocketGroup"), ["mail"]);
});

test("relay-ctrl's port, which only root may open, is a socket for datagrams", async () => {
  const config = await configured('[serve]\nrelay-ctrl-udp = "0.0.0.0:811"\ndrac = true\n');
  assert.match(
    values(serviceUnit(config, PROGRAM), "Sockets").join(),
    / popbsmtp-relay-ctrl\.socket$/,
  );
  const unit = socketUnit(config.serve, "relay-ctrl");
  assert.deepEqual(values(unit, "ListenDatagram"), ["0.0.0.0:811"]);
  assert.deepEqual(values(unit, "ListenStream"), []);
  const { serve } = await configured();
  assert.throws(() => socketUnit(serve, "relay-ctrl"), {
    message: "serve.relay-ctrl-udp: the daemon has no socket for it",
  });
});

test("it can access its files in home directories and in /tmp", async () => {
  const config = await configured(
    '[store]\ndriver = "mysql"\nhost = "/tmp/mysql.sock"\ndatabase = "mail"\n',
  );
  assert.deepEqual(values(serviceUnit(config, PROGRAM), "PrivateTmp"), []);
  assert.deepEqual(values(serviceUnit(config, PROGRAM), "ProtectHome"), ["yes"]);
  const unit = serviceUnit(await configured(), ["/home/mail/bin/popbsmtp"]);
  assert.deepEqual(values(unit, "PrivateTmp"), ["yes"]);
  assert.deepEqual(values(unit, "ProtectHome"), ["read-only"]);
  const watching = await configured('[watch]\nfile = "/home/mail/mail.log"\n');
  assert.deepEqual(values(serviceUnit(watching, PROGRAM), "ProtectHome"), ["read-only"]);
});

test("systemd accepts the units without a warning, and rates their exposure low", async () => {
  await using directory = temporaryDirectory();
  const names = ["imap", "pop3", "policy", "socketmap"] as const;
  const config = await configured();
  mkdirSync(join(directory.path, "units"));
  const file = (unit: string) => join(directory.path, "units", unit);
  // the program has to be there
  writeFileSync(file("popbsmtp.service"), serviceUnit(config, ["/bin/true"]).join("\n"));
  for (const name of names) {
    writeFileSync(file(`popbsmtp-${name}.socket`), socketUnit(config.serve, name).join("\n"));
  }
  const units = names.map((name) => file(`popbsmtp-${name}.socket`));
  const verify = await run("systemd-analyze", ["verify", file("popbsmtp.service"), ...units]);
  assert.deepEqual([verify.status, verify.stderr.toString()], [0, ""]);
  // 2.0, in tenths
  const limits = ["--offline=yes", "--threshold=20", "--no-pager"];
  const security = await run("systemd-analyze", ["security", ...limits, file("popbsmtp.service")]);
  assert.equal(security.status, 0, security.stdout.toString());
});

test("all units together name their files, and what to do then", async () => {
  const lines = unitLines(await configured(), PROGRAM);
  const files = lines.filter((line) => line.startsWith("# /etc/systemd/system/"));
  assert.deepEqual(
    files.map((line) => line.slice("# /etc/systemd/system/".length)),
    [
      ".service",
      "-dict.socket",
      "-imap.socket",
      "-pop3.socket",
      "-policy.socket",
      "-socketmap.socket",
    ].map((end) => `popbsmtp${end}`),
  );
  assert.ok(lines.some((line) => /systemctl enable --now .*popbsmtp-imap\.socket/.test(line)));
});
