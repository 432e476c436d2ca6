/**
 * The commands on a SQLite store, as an administrator runs them. What each prints in detail:
 * test/unit/commands/.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { account, requireRoot } from "../support/accounts.ts";
import { install as layOut } from "../support/installation.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { PLAIN_ENV, run, type RunOptions } from "../support/run.ts";
import { createSqliteFile } from "../support/tables.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/popbsmtp", import.meta.url));

interface Answer {
  readonly status: number | undefined;
  readonly out: string;
  readonly err: string;
}

interface Setup extends AsyncDisposable {
  readonly path: string;
  readonly config: string;
  readonly database: string;
  /** Runs popbsmtp with this configuration. */
  readonly popbsmtp: (...args: readonly string[]) => Promise<Answer>;
}

interface SetupOptions {
  /** The configuration's user. Default: who runs the tests. */
  readonly user?: string;
  /** Lines for the top of the configuration. */
  readonly top?: string;
  /** Whether to create the tables. Default true. */
  readonly install?: boolean;
}

async function setup({
  user = userInfo().username,
  top = "",
  install = true,
}: SetupOptions = {}): Promise<Setup> {
  const directory = temporaryDirectory({ mode: 0o755 });
  const config = join(directory.path, "popbsmtp.toml");
  const spool = join(directory.path, "spool");
  const database = join(directory.path, "db", "popbsmtp.db");
  mkdirSync(spool, { mode: 0o777 });
  writeFileSync(
    config,
    `spool = "${spool}"\nuser = "${user}"\n${top}\n[store]\ndriver = "sqlite"\npath = "${database}"\n`,
  );
  const popbsmtp = (...args: readonly string[]) => program(["--config", config, ...args]);
  if (install) await createSqliteFile(database, user);
  const dispose = () => directory[Symbol.asyncDispose]();
  return { path: directory.path, config, database, popbsmtp, [Symbol.asyncDispose]: dispose };
}

async function program(args: readonly string[], options: RunOptions = {}): Promise<Answer> {
  const { status, stdout, stderr } = await run(PROGRAM, args, options);
  return { status, out: stdout.toString(), err: stderr.toString() };
}

test("allow, check, list, revoke: an authorization by hand, from its beginning to its end", async () => {
  await using box = await setup();
  const { popbsmtp } = box;
  assert.equal((await popbsmtp("check", "192.0.2.1")).status, 1);

  const allowed = await popbsmtp("allow", "::ffff:192.0.2.1", "--user", "bob@example.org");
  assert.match(
    allowed.out,
    /^192\.0\.2\.1 may relay until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(30m\)\n$/,
  );
  assert.deepEqual([allowed.status, allowed.err], [0, ""]);

  const checked = await popbsmtp("check", "::FFFF:c000:201");
  assert.equal(checked.status, 0);
  assert.match(
    checked.out,
    /^192\.0\.2\.1 may relay until .* left\): last login of bob@example\.org \(allow\); asked: the store\n$/,
  );

  const [row, ...others] = JSON.parse((await popbsmtp("list", "--json")).out);
  assert.equal(others.length, 0);
  assert.deepEqual(Object.keys(row), [
    "address",
    "user",
    "service",
    "firstSeen",
    "lastSeen",
    "logins",
  ]);
  assert.deepEqual(
    [row.address, row.user, row.service, row.logins],
    ["192.0.2.1", "bob@example.org", "allow", 1],
  );

  const revoked = await popbsmtp("revoke", "192.0.2.1");
  assert.deepEqual(revoked, { status: 0, out: "192.0.2.1: 1 authorization ended\n", err: "" });
  assert.equal((await popbsmtp("check", "192.0.2.1")).status, 1);
  const again = await popbsmtp("revoke", "192.0.2.1");
  assert.deepEqual(again, { status: 1, out: "192.0.2.1: no authorizations ended\n", err: "" });
});

test("revoke ends this user's, this address's, or only this user's at this address", async () => {
  await using box = await setup();
  const { popbsmtp } = box;
  for (const user of ["bob", "eve"]) {
    for (const address of ["192.0.2.1", "2001:db8::1"])
      await popbsmtp("allow", address, "--user", user);
  }
  const left = async () =>
    JSON.parse((await popbsmtp("list", "--json")).out)
      .map((row: { address: string; user: string }) => `${row.address} ${row.user}`)
      .toSorted();
  assert.match(
    (await popbsmtp("revoke", "2001:DB8:0::1", "--user", "bob")).out,
    /: 1 authorization ended/,
  );
  assert.deepEqual(await left(), ["192.0.2.1 bob", "192.0.2.1 eve", "2001:db8::1 eve"]);
  assert.match(
    (await popbsmtp("revoke", "--user", "eve")).out,
    /^user eve: 2 authorizations ended/,
  );
  assert.deepEqual(await left(), ["192.0.2.1 bob"]);
});

test("an address within exclude is not authorized, by hand either", async () => {
  await using box = await setup({ top: 'exclude = ["192.168.0.0/16"]' });
  const allowed = await box.popbsmtp("allow", "192.168.1.1");
  assert.deepEqual([allowed.status, allowed.out], [65, ""]);
  assert.match(allowed.err, /^popbsmtp: 192\.168\.1\.1: is in exclude \(192\.168\.0\.0\/16\)/);
  const checked = await box.popbsmtp("check", "192.168.1.1");
  assert.equal(checked.status, 1);
  assert.match(checked.out, /^192\.168\.1\.1 is in exclude/);
});

test("purge deletes what has expired, and says nothing to cron", async () => {
  await using box = await setup({ top: 'lifetime = "1s"' });
  const { popbsmtp } = box;
  await popbsmtp("allow", "192.0.2.1");
  const deadline = Date.now() + 10_000;
  // expiry is the store's business: ask it until it is over
  while ((await popbsmtp("check", "192.0.2.1")).status === 0) assert.ok(Date.now() < deadline);
  assert.equal(JSON.parse((await popbsmtp("list", "--json", "--all")).out).length, 1);
  assert.match((await popbsmtp("list", "--all")).out, / expired\n$/);
  assert.deepEqual(await popbsmtp("purge", "--optimize"), { status: 0, out: "", err: "" });
  assert.deepEqual(await popbsmtp("list", "--json", "--all"), { status: 0, out: "[]\n", err: "" });
});

test("purge says what is wrong with the spool and with the store where both are", async () => {
  await using box = await setup();
  const spool = join(box.path, "spool");
  rmSync(spool, { recursive: true });
  writeFileSync(spool, "");
  const unpurged = await box.popbsmtp("purge");
  assert.match(unpurged.err, /^popbsmtp: spool: [^;]* cannot be written to .*\n$/);
  assert.equal(unpurged.status, 77);
  rmSync(dirname(box.database), { recursive: true });
  const { status, out, err } = await box.popbsmtp("purge");
  assert.match(err, /spool: .* cannot be written to /);
  assert.match(err, /store: sqlite /);
  assert.deepEqual([status, out], [75, ""]);
});

test("purge does not end live authorizations", async () => {
  await using box = await setup();
  assert.deepEqual(await box.popbsmtp("purge", "--older-than", "10m"), {
    status: 64,
    out: "",
    err: "popbsmtp: --older-than: 10m is less than the lifetime of 30m: that would end live authorizations; popbsmtp revoke does\n",
  });
  const misspelled = await box.popbsmtp("purge", "--older-than", "90");
  assert.equal(misspelled.status, 64);
  assert.match(misspelled.err, /^popbsmtp: --older-than: 90 is not a time; expected /);
});

test("an empty list is said beside stdout", async () => {
  await using box = await setup();
  assert.deepEqual(await box.popbsmtp("list"), {
    status: 0,
    out: "",
    err: "No address may relay by a login at present.\n",
  });
});

test("--config may stand behind the command, too", async () => {
  await using box = await setup();
  assert.equal((await program(["list", "--json", "--config", box.config])).out, "[]\n");
});

test("schema install can be repeated, and schema print has what it does", async () => {
  await using box = await setup({ install: false });
  const first = await box.popbsmtp("schema", "install");
  assert.match(first.out, /^sqlite .*\/popbsmtp\.db: schema version \d+ installed\n$/);
  const second = await box.popbsmtp("schema", "install");
  assert.match(second.out, /: schema version \d+ is already installed\n$/);
  assert.match(
    (await box.popbsmtp("schema", "print")).out,
    /CREATE TABLE IF NOT EXISTS "popbsmtp" \(/,
  );
});

test("a store that is not there cannot tell: 75", async () => {
  await using box = await setup({ install: false });
  for (const args of [["check", "192.0.2.1"], ["list"], ["allow", "192.0.2.1"]]) {
    const { status, out, err } = await box.popbsmtp(...args);
    assert.deepEqual([args[0], status, out], [args[0], 75, ""]);
    assert.match(err, /^popbsmtp: .*\n$/);
  }
  assert.ok(!existsSync(box.database));
});

test("a wrong configuration is 78, with a line for each problem", async () => {
  await using box = await setup({ top: 'lifetime = "30"\nlinger = 5', install: false });
  const { status, out, err } = await box.popbsmtp("list");
  assert.deepEqual([status, out], [78, ""]);
  assert.deepEqual(err.trimEnd().split("\n"), [
    `popbsmtp: ${box.config}: lifetime: "30" is not a time; expected a time such as "30m", "90s" or "1h30m"`,
    `popbsmtp: ${box.config}: linger: expected a time such as "30m", "90s" or "1h30m"`,
  ]);
});

test("a configuration that was named and is not there is 78", async () => {
  assert.deepEqual(await program(["list", "--config", "/nonexistent/popbsmtp.toml"]), {
    status: 78,
    out: "",
    err: "popbsmtp: /nonexistent/popbsmtp.toml: there is no such file\n",
  });
});

test("usage errors are 64, --help and --version 0", async () => {
  assert.equal((await program(["lst"])).status, 64);
  assert.equal((await program([])).status, 64);
  assert.equal((await program(["list", "--jsn"])).status, 64);
  assert.equal((await program(["check", "192.0.2"])).status, 65);
  assert.match((await program(["--version"])).out, /^\d+\.\d+\.\d+\n$/);
  const help = await program(["--help"]);
  assert.deepEqual([help.status, help.err], [0, ""]);
});

test("a reader that has seen enough is no error", async () => {
  const child = spawn(PROGRAM, ["--help"], {
    env: { ...PLAIN_ENV },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  child.stderr.setEncoding("utf8");
  let err = "";
  child.stderr.on("data", (text: string) => (err += text));
  const [status] = await once(child, "close");
  assert.deepEqual([status, err], [0, ""]);
});

test("a full disk behind stdout is told, and is no success", async () => {
  const { status, stderr } = await run("sh", [
    "-c",
    'exec "$@" > /dev/full',
    "sh",
    PROGRAM,
    "--help",
  ]);
  assert.equal(status, 73);
  assert.match(stderr.toString(), /^popbsmtp: standard output: ENOSPC/);
});

test("root becomes the configured user before it touches the store", async () => {
  await using box = await layOut("sqlite");
  await box.popbsmtp("allow", "192.0.2.1");
  const directory = dirname(box.database);
  const postfix = account("postfix");
  assert.deepEqual([statSync(directory).uid, statSync(directory).gid], [box.user.uid, postfix.gid]);
  for (const name of readdirSync(directory))
    assert.equal(statSync(join(directory, name)).uid, box.user.uid, name);
});

test("a user that does not exist is a problem of the configuration", async () => {
  requireRoot("a program that becomes somebody else");
  await using box = await setup({ user: "no-such-user", install: false });
  assert.deepEqual(await box.popbsmtp("list"), {
    status: 78,
    out: "",
    err: "popbsmtp: user: there is no user no-such-user; create it (useradd --system no-such-user) or name another\n",
  });
});

test("what the environment of a mail user says does not reach the store", async () => {
  await using box = await setup();
  const { status } = await program(["--config", box.config, "list", "--json"], {
    env: { ...PLAIN_ENV, PGHOST: "/nonexistent", PGSSLMODE: "nonsense", NODE_PG_FORCE_NATIVE: "1" },
  });
  assert.equal(status, 0);
});

test("Dovecot understands what print dovecot prints", async () => {
  await using box = await setup({ install: false });
  const { out } = await box.popbsmtp("print", "dovecot", "2");
  const conf = join(box.path, "dovecot.conf");
  writeFileSync(conf, out);
  const { status, stdout, stderr } = await run("doveconf", ["-n", "-c", conf]);
  assert.equal(status, 0, stderr.toString());
  const start = `${PROGRAM} --config ${box.config}`;
  for (const service of ["imap", "pop3"]) {
    assert.ok(stdout.includes(`executable = ${service} ${service}-postlogin\n`));
    assert.ok(stdout.includes(`executable = script-login ${start} --service ${service}\n`));
  }
});

test("Dovecot understands what print dovecot prints for its plugin", async () => {
  await using box = await setup({ install: false });
  const conf = join(box.path, "dovecot.conf");
  writeFileSync(
    conf,
    `mail_plugins = quota\nprotocol imap {\n  mail_plugins = $mail_plugins imap_quota\n}\n${(await box.popbsmtp("print", "dovecot")).out}`,
  );
  const ask = async (...args: readonly string[]) => {
    const { status, stdout, stderr } = await run("doveconf", ["-c", conf, ...args]);
    assert.equal(status, 0, stderr.toString());
    return stdout.toString();
  };
  const plugins = (protocol: string) => ask("-h", "-f", `protocol=${protocol}`, "mail_plugins");
  assert.equal(await plugins("imap"), "quota imap_quota last_login\n");
  assert.equal(await plugins("pop3"), "quota last_login\n");
  assert.equal(await plugins("lmtp"), "quota\n");
  assert.match(await ask("-n"), /last_login_dict = proxy:popbsmtp-dict:popbsmtp\n/);
});

test("print dovecot has the plugin's form, unless another is asked for", async () => {
  await using box = await setup({ install: false });
  const start = `${PROGRAM} --config ${box.config}`;
  const dict = (await box.popbsmtp("print", "dovecot")).out;
  assert.ok(dict.includes(`  executable = ${start} serve\n`));
  assert.ok(dict.includes("  unix_listener popbsmtp-dict {\n"));
  assert.equal((await box.popbsmtp("print", "dovecot", "dict", "--dovecot", "2.3")).out, dict);
  const systemd = (await box.popbsmtp("print", "dovecot", "--systemd")).out;
  assert.ok(systemd.includes("  last_login_dict = proxy:/run/popbsmtp/dict:popbsmtp\n"));
  const service = (await box.popbsmtp("print", "dovecot", "post-login")).out;
  assert.ok(service.includes("  executable = imap popbsmtp-imap\n"));
  assert.equal((await box.popbsmtp("print", "dovecot", "service")).out, service);
  const sockets = (await box.popbsmtp("print", "dovecot", "post-login", "--systemd")).out;
  assert.ok(sockets.includes("  executable = imap /run/popbsmtp/imap\n"));
  assert.equal((await box.popbsmtp("print", "dovecot", "systemd")).out, sockets);
  const wrapper = (await box.popbsmtp("print", "dovecot", "wrapper")).out;
  assert.equal(wrapper, (await box.popbsmtp("print", "dovecot", "2")).out);
  const old = (await box.popbsmtp("print", "dovecot", "1")).out;
  assert.ok(
    old.includes(`protocol imap {\n  mail_executable = ${start} /usr/lib/dovecot/imap\n}\n`),
  );
});

test("print cron is a line for /etc/cron.d", async () => {
  await using box = await setup({ install: false });
  const { out } = await box.popbsmtp("print", "cron");
  const lines = out.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const [path, job = ""] = lines;
  assert.equal(path, "PATH=/usr/local/bin:/usr/bin:/bin");
  const [minute = "", ...rest] = job.split(" ");
  assert.ok(/^\d+$/.test(minute) && Number(minute) < 60, job);
  assert.equal(rest.join(" "), `* * * * root ${PROGRAM} --config ${box.config} purge`);
  assert.equal(lines.length, 2);
});

test("print cron --hourly says under which name run-parts runs it", async () => {
  await using box = await setup({ install: false });
  const directory = join(box.path, "cron.hourly");
  mkdirSync(directory);
  const { out } = await box.popbsmtp("print", "cron", "--hourly");
  const name = /^# \/etc\/cron\.hourly\/(\S+),/m.exec(out)?.[1] ?? "";
  writeFileSync(join(directory, name), out, { mode: 0o755 });
  const listed = await run("run-parts", ["--list", directory]);
  assert.equal(listed.stdout.toString(), `${join(directory, name)}\n`);
});

test("Postfix takes main.cf's lines, and proxymap may read the map", async () => {
  await using box = await setup({ install: false });
  const { out } = await box.popbsmtp("print", "postfix", "main");
  writeFileSync(join(box.path, "main.cf"), `compatibility_level = 3.6\n${out}`);
  writeFileSync(join(box.path, "master.cf"), "");
  const { stdout } = await run("postconf", [
    "-c",
    box.path,
    "-x",
    "smtpd_relay_restrictions",
    "proxy_read_maps",
  ]);
  const [restrictions = "", maps = ""] = stdout.toString().split("\n");
  assert.match(
    restrictions,
    /permit_auth_destination, check_client_access pipemap:\{ regexp:.*, proxy:sqlite:\/etc\/postfix\/popbsmtp\.cf \}, defer_unauth_destination$/,
  );
  assert.match(maps, /proxy:sqlite:\/etc\/postfix\/popbsmtp\.cf/);
});

for (const [driver, start] of [
  ["pgsql", startPostgres],
  ["mysql", startMariadb],
] as const) {
  for (const way of ["host", "socket"] as const) {
    test(`Postfix reaches ${driver} through its ${way} with the map that print postfix makes`, async () => {
      await using server = await start();
      await using directory = temporaryDirectory();
      const config = join(directory.path, "popbsmtp.toml");
      const map = join(directory.path, "popbsmtp.cf");
      const { port, database, user, password } = server;
      writeFileSync(
        config,
        `user = "${userInfo().username}"\n[store]\ndriver = "${driver}"\nhost = "${server[way]}"\nport = ${port}\n` +
          `database = "${database}"\nuser = "${user}"\npassword = "${password}"\n` +
          `reader = { user = "${user}", password = "${password}" }\n`,
      );
      const popbsmtp = (...args: readonly string[]) => program(["--config", config, ...args]);
      assert.equal((await popbsmtp("schema", "install")).err, "");
      assert.equal((await popbsmtp("allow", "192.0.2.1")).err, "");
      writeFileSync(map, (await popbsmtp("print", "postfix", "map")).out);
      const known = await run("postmap", ["-q", "192.0.2.1", `${driver}:${map}`]);
      assert.deepEqual([known.stdout.toString(), known.stderr.toString()], ["OK\n", ""]);
      const unknown = await run("postmap", ["-q", "client.example.org", `${driver}:${map}`]);
      assert.deepEqual([unknown.status, unknown.stderr.toString()], [1, ""]);
    });
  }
}

test("serve --check says where the daemon would listen", async () => {
  const top = `[serve]
policy = ["/run/x/policy", "127.0.0.1:10040"]
socketmap = false
drac = true
relay-ctrl-udp = "127.0.0.1:811"`;
  await using box = await setup({ top });
  const { status, out, err } = await box.popbsmtp("serve", "--check");
  assert.deepEqual([status, err], [0, ""]);
  assert.deepEqual(out.trimEnd().split("\n"), [
    "dict /run/popbsmtp/dict",
    "imap /run/popbsmtp/imap",
    "pop3 /run/popbsmtp/pop3",
    "policy /run/x/policy",
    "policy 127.0.0.1:10040",
    "drac 0.0.0.0, any port",
    "relay-ctrl 127.0.0.1:811",
    "ok",
  ]);
});

test("Postfix finds who has logged in by the map that print postfix makes, and nobody else", async () => {
  await using box = await setup();
  const { out } = await box.popbsmtp("print", "postfix", "map");
  const map = join(box.path, "popbsmtp.cf");
  writeFileSync(map, out);
  await box.popbsmtp("allow", "192.0.2.1");
  await box.popbsmtp("allow", "2001:db8::1");
  const found = async (key: string) =>
    (await run("postmap", ["-q", key, `sqlite:${map}`])).status === 0;
  for (const key of ["192.0.2.1", "2001:db8::1"]) assert.equal(await found(key), true, key);
  for (const key of ["192.0.2.10", "192.0.2", "2001:db8:", "client.example.org", "x'; --", "%"]) {
    assert.equal(await found(key), false, key);
  }
});
