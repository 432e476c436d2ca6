/**
 * `popbsmtp doctor` and a store that does not work, with a daemon at work; and an ordinary user who
 * runs it.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { account } from "../support/accounts.ts";
import { adviceOf, assertProblem, edited, runDoctor } from "../support/doctor.ts";
import { startDovecot } from "../support/dovecot.ts";
import { install } from "../support/installation.ts";
import { startPostfix } from "../support/postfix.ts";
import { run, runOk } from "../support/run.ts";
import { askPolicy, askSocket, postLoginRequest, startServe } from "../support/serve.ts";
import { inSoak } from "../support/soak.ts";

for (const driver of ["pgsql", ...inSoak("mysql")] as const) {
  test(`doctor tells apart what may be wrong with ${driver}, and what to do`, async (t) => {
    await using box = await install(driver);
    await using daemon = await startServe(box);
    const { imap, pop3, policy } = daemon;
    await using dovecot = await startDovecot({
      config: `service imap {\n executable = imap ${imap}\n}\nservice pop3 {\n executable = pop3 ${pop3}\n}\n`,
    });
    await using postfix = await startPostfix({
      mainCf: `smtpd_relay_restrictions = permit_auth_destination, check_policy_service { unix:${policy}, timeout=2s, default_action=DUNNO }, defer_unauth_destination\n`,
    });
    const doctor = () => runDoctor(box, dovecot, postfix);
    const { server } = box;
    assert.ok(server !== undefined);
    const remedy = `popbsmtp --config ${box.config} schema install`;

    await t.test("one table is gone; what is advised brings it back", async () => {
      for (const table of ["popbsmtp", "popbsmtp_schema"]) {
        await box.sql(`DROP TABLE ${table}`);
        const found = /at least one table is missing: no login is written to it/;
        const report = await doctor();
        assertProblem(report, found, remedy);
        // the first line is for an account that may, as the one of this store does
        const [line = ""] = adviceOf(report, "problem", found);
        await runOk("/bin/bash", ["-c", line.replace("popbsmtp", box.program)]);
        assert.equal((await doctor()).status, 0);
      }
    });

    await t.test("a password that is not right is no outage", async () => {
      await edited(box.config, /^password = .*$/m, 'password = "wrong"', async () => {
        const sql = driver === "pgsql" ? "ALTER ROLE " : "ALTER USER ";
        assertProblem(await doctor(), /until that is fixed/, sql + server.user);
      });
    });

    await t.test("a database that does not exist", async () => {
      await edited(box.config, /^database = .*$/m, 'database = "nosuch"', async () => {
        const command = driver === "pgsql" ? "createdb nosuch" : "CREATE DATABASE `nosuch`";
        assertProblem(await doctor(), /until that is fixed/, command);
      });
    });

    await t.test(
      "the server is down: the daemon answers all the same, and a drain is no cure",
      async () => {
        await daemon.reload();
        await server.stop();
        await askSocket(imap, postLoginRequest("192.0.2.77", "bob"));
        assert.equal(await askPolicy(policy, "192.0.2.77"), "OK");
        const report = await doctor();
        const found =
          /logins wait in the spool until it is back; popbsmtp serve keeps them in memory/;
        const unit = driver === "pgsql" ? "postgresql" : "mariadb";
        assertProblem(report, found, `systemctl restart ${unit}`, 75);
        const spool = /1 login waiting, .*; they are written once the store is back/;
        assert.deepEqual(adviceOf(report, "problem", spool), []);
        assert.ok(!report.text.includes(" drain"), report.text);
        await server.start();
      },
    );
  });
}

test("an ordinary user is told what could not be examined, and why", async () => {
  await using box = await install("sqlite");
  const { uid, gid } = account("games");
  const as = async (config: string) => {
    const { status, stdout, stderr } = await run(box.program, ["--config", config, "doctor"], {
      uid,
      gid,
    });
    assert.equal(stderr.toString(), "");
    return { status, text: stdout.toString() };
  };
  const sudo = `sudo popbsmtp --config ${box.config} doctor`;

  // not theirs to read
  const unreadable = await as(box.config);
  assert.match(unreadable.text, /popbsmtp\.toml: permission denied; run popbsmtp as root/);
  assert.match(unreadable.text, /nothing else can be checked without the configuration/);

  // nor to know of
  const hidden = join(box.directory, "etc");
  await run("install", ["-d", "-m", "700", hidden]);
  writeFileSync(join(hidden, "popbsmtp.toml"), "");
  assert.match(
    (await as(join(hidden, "popbsmtp.toml"))).text,
    /permission denied; run popbsmtp as/,
  );

  // only the store and the spool are not theirs
  chmodSync(box.config, 0o644);
  const { text } = await as(box.config);
  assert.match(text, /run by games: only root can see what nobody, Dovecot and Postfix may do/);
  assert.match(text, /popbsmtp\.db: not checked: games cannot read it/);
  assert.ok(text.includes(sudo), text);

  // behind a directory that is closed
  chmodSync(box.directory, 0o711);
  await edited(box.config, /^spool = .*$/m, `spool = "${hidden}/spool"`, async () => {
    const report = await as(box.config);
    assert.match(report.text, /Spool\n {2}warning +not checked any further: EACCES/);
    assert.match(report.text, /\nStore\n/);
  });
});
