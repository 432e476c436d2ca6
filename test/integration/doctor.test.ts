/**
 * `popbsmtp doctor` on the real servers: nothing to say of a good set-up, and each thing broken is
 * found, with what to do.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  assertProblem,
  assertWarning,
  runDoctor,
  edited,
  write,
  type Report,
} from "../support/doctor.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { DRIVERS, install, type Driver, type Installation } from "../support/installation.ts";
import { startPostfix, type Postfix } from "../support/postfix.ts";
import { run } from "../support/run.ts";
import { mountTmpfs } from "../support/tmpfs.ts";
import { soakTest } from "../support/soak.ts";

interface MailServer extends AsyncDisposable {
  readonly box: Installation;
  readonly dovecotConf: string;
  readonly mainCf: string;
  readonly map: string;
  readonly doctor: () => Promise<Report>;
}

/** Everything as `print dovecot` and `print postfix` say. */
async function mailServer(driver: Driver): Promise<MailServer> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install(driver));
  const wrapper = (service: string) => `${box.program} --config ${box.config} --service ${service}`;
  const dovecot: Dovecot = stack.use(
    await startDovecot({
      postLogin: { imap: wrapper("imap"), pop3: wrapper("pop3") },
      postLoginUser: box.user.name,
      vszLimit: "0",
    }),
  );
  const main = await box.popbsmtp("print", "postfix", "main");
  const postfix: Postfix = stack.use(
    await startPostfix({
      mainCf: main.replaceAll("/etc/postfix/", "$config_directory/"),
      files: { "popbsmtp.cf": await box.popbsmtp("print", "postfix", "map") },
    }),
  );
  const dovecotConf = join(dovecot.directory, "dovecot.conf");
  const resources = stack.move();
  return {
    box,
    dovecotConf,
    mainCf: join(postfix.directory, "main.cf"),
    map: join(postfix.directory, "popbsmtp.cf"),
    doctor: () => runDoctor(box, dovecot, postfix),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

for (const driver of DRIVERS) {
  test(`doctor has nothing to say of a good set-up with ${driver}`, async () => {
    await using server = await mailServer(driver);
    const { status, text } = await server.doctor();
    assert.equal(status, 0, text);
    assert.match(text, /\nno problems, no warnings\n$/);
    assert.ok(!text.includes("\u001B"));
    assert.equal(
      text.match(/^\w+$/gm)?.join(" "),
      "Configuration Spool Node Dovecot Postfix Store",
    );
    // nothing of its trial is left
    assert.deepEqual(await server.box.rows(), []);
  });
}

soakTest("doctor finds what is broken on a mail server with pgsql", async (t) => {
  await using server = await mailServer("pgsql");
  const { box, dovecotConf, mainCf, map, doctor } = server;
  const { server: database } = box;
  assert.ok(database !== undefined);

  await t.test("a password that everybody can read", async () => {
    chmodSync(box.config, 0o644);
    assertProblem(await doctor(), /every user may read the password/, `chmod 640 ${box.config}`);
    chmodSync(box.config, 0o640);
  });

  await t.test("a configuration with three mistakes: all of them", async () => {
    await edited(
      box.config,
      /user = .*/,
      'user = "nobody"\nlifetime = "soon"\nsppol = "/x"',
      async () => {
        const report = await doctor();
        assertProblem(report, /lifetime: "soon" is not a time/, "");
        assertProblem(report, /sppol: unknown key; did you mean spool\?/, "");
      },
    );
  });

  await t.test("a user that does not exist", async () => {
    await edited(box.config, /user = .*/, 'user = "nosuchuser"', async () => {
      assertProblem(await doctor(), /no user nosuchuser/, "useradd --system");
    });
  });

  await t.test(
    "a watched log that may not be read, and a Dovecot whose users may imitate it",
    async () => {
      const log = join(box.directory, "mail.log");
      writeFileSync(log, "", { mode: 0o600 });
      await edited(box.config, "[store]", `[watch]\nfile = "${log}"\n[store]`, async () => {
        assertProblem(
          await doctor(),
          /mail\.log: permission denied; let the user nobody read it/,
          "",
        );
        chownSync(log, box.user.uid, 0);
        await edited(dovecotConf, /^/, "auth_username_chars =\n", async () => {
          const report = await doctor();
          assert.match(report.text, /^Mail log\n {2}ok +\S+mail\.log: nobody may read it$/m);
          assertProblem(report, /user names contain <, > or a blank/, "auth_username_chars = abc");
        });
        for (const setting of ["imap_id_log = *", "protocol imap {\n  imap_id_log = name\n}"]) {
          await edited(dovecotConf, /$/, `\n${setting}\n`, async () => {
            assertProblem(
              await doctor(),
              /imap_id_log logs text that any client sends/,
              "imap_id_log =",
            );
          });
        }
      });
    },
  );

  await t.test("a program that others may replace", async () => {
    chmodSync(box.program, 0o757);
    assertProblem(await doctor(), /every user may replace/, `chmod go-w ${box.program}`);
    chmodSync(box.program, 0o755);
    chownSync(join(box.directory, "bin"), box.user.uid, 0);
    assertProblem(
      await doctor(),
      /belongs to nobody, who may replace the program/,
      `chown root ${box.directory}/bin`,
    );
    chownSync(join(box.directory, "bin"), 0, 0);
  });

  await t.test("a spool that is missing, somebody else's, or everybody's", async () => {
    renameSync(box.spool, `${box.spool}.old`);
    const group = "nogroup";
    const made = `install -d -o nobody -g ${group} -m 0700 ${box.spool}`;
    assertProblem(await doctor(), /spool does not exist/, made);
    renameSync(`${box.spool}.old`, box.spool);

    chownSync(box.spool, 0, 0);
    assertProblem(await doctor(), /belongs to root/, `chown -R nobody: ${box.spool}`);
    chownSync(box.spool, box.user.uid, box.user.gid);

    chmodSync(box.spool, 0o777);
    assertProblem(await doctor(), /every user may delete logins/, `chmod 0700 ${box.spool}`);
    chmodSync(box.spool, 0o755);
    assertWarning(await doctor(), /every user may see who logs in/);
    chmodSync(box.spool, 0o700);
  });

  await t.test("a spool on a file system that is full, or read-only", async () => {
    await using tmpfs = await mountTmpfs(box.spool, box.user);
    writeFileSync(join(box.spool, "bulk"), Buffer.alloc(64 * 1024));
    const report = await doctor();
    assertProblem(report, /nobody cannot write to it \(ENOSPC\)/, `df -h ${box.spool}`);
    assertProblem(report, /0 MiB .* no login is recorded/, `df -i ${box.spool}`);
    await tmpfs.remount("ro");
    assertProblem(await doctor(), /nobody cannot write to it \(EROFS\)/, "mount -o remount,rw");
  });

  await t.test("logins that nobody drains, and files set aside", async () => {
    const old = join(box.spool, `${String((Date.now() - 600_000) * 1000)}.4711`);
    writeFileSync(old, "");
    assertProblem(
      await doctor(),
      /1 login waiting, the oldest for 10 min, and no drain is at work/,
      `popbsmtp --config ${box.config} drain`,
    );
    unlinkSync(old);

    const bad = join(box.spool, "bad");
    mkdirSync(bad);
    writeFileSync(join(bad, "x"), "");
    writeFileSync(join(bad, "x.why"), "no \u001B[31maddress in it\n");
    chmodSync(bad, 0o755);
    assertWarning(await doctor(), /1 file set aside in .*: no \\u001b\[31maddress in it/);
    rmSync(bad, { recursive: true });
  });

  await t.test("no Node where Dovecot would look for it", async () => {
    const node = join(box.directory, "bin", "node");
    renameSync(node, `${node}.old`);
    symlinkSync("/bin/false", node);
    const { status, stdout } = await run(process.execPath, [
      box.program,
      "--config",
      box.config,
      "doctor",
    ]);
    assertProblem({ status, text: stdout.toString() }, /does not start as nobody/, "ln -s ");
    unlinkSync(node);
    renameSync(`${node}.old`, node);
  });

  await t.test(
    "Dovecot: the wrong user, limit, configuration, program, or no popbsmtp",
    async () => {
      await edited(dovecotConf, "user = nobody", "user = mail", async () => {
        assertProblem(
          await doctor(),
          /imap: popbsmtp runs as mail/,
          "service imap-postlogin {\n  user = nobody\n}",
        );
      });
      await edited(dovecotConf, "vsz_limit = 0", "", async () => {
        assertProblem(
          await doctor(),
          /imap: logins cannot start a drain: vsz_limit is 256 MB/,
          "service imap-postlogin {\n  vsz_limit = 1T\n}",
        );
      });
      await edited(dovecotConf, ` --config ${box.config}`, "", async () => {
        assertProblem(
          await doctor(),
          /imap: popbsmtp reads \/etc\/popbsmtp\/popbsmtp.toml there/,
          `executable = script-login ${box.program} --config ${box.config} --service imap`,
        );
      });
      await edited(dovecotConf, box.program, "/usr/nosuch/popbsmtp", async () => {
        assertProblem(await doctor(), /\/usr\/nosuch\/popbsmtp is not a program/, box.program);
      });
      await edited(
        dovecotConf,
        `${box.program} --config ${box.config} --service pop3`,
        "/bin/other",
        async () => {
          assertProblem(
            await doctor(),
            /pop3: no login is recorded: after it runs \/bin\/other/,
            `executable = script-login ${box.program} --config ${box.config} --service pop3 /bin/other`,
          );
        },
      );
      await edited(dovecotConf, "executable = pop3 pop3-postlogin", "", async () => {
        assertProblem(await doctor(), /pop3: no login is recorded/, "print dovecot wrapper");
      });
      await edited(dovecotConf, /executable = (imap|pop3) .*/g, "", async () => {
        assertWarning(await doctor(), /does not run popbsmtp after a login/);
      });
      await edited(dovecotConf, "protocols =", "protokols =", async () => {
        assertProblem(await doctor(), /doveconf cannot read/, `doveconf -c ${dovecotConf} -n`);
      });
    },
  );

  await t.test("a configuration that the wrapper's user cannot read", async () => {
    chmodSync(box.config, 0o600);
    assertProblem(
      await doctor(),
      /runs as nobody, who cannot read .*popbsmtp\.toml \(EACCES\)/,
      `chgrp nogroup ${box.config} && chmod g+r ${box.config}`,
    );
    chmodSync(box.config, 0o640);
  });

  const patterns = "regexp:{{/^([0-9a-f.:]+)$$/ $$1}}";
  const access = `check_client_access pipemap:{ ${patterns}, proxy:pgsql:${map} }`;
  const good = `'smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination, ${access}, defer_unauth_destination'`;
  const written = `check_client_access pipemap:{ ${patterns}, proxy:pgsql:$config_directory/popbsmtp.cf },`;
  await t.test("Postfix: the lookup in the wrong place, or nowhere", async () => {
    await edited(mainCf, "    permit_auth_destination,\n", "", async () => {
      assertProblem(await doctor(), /mail for your own domains is deferred too \(451\)/, good);
    });
    await edited(
      mainCf,
      /( *check_client_access.*,\n)( *defer_unauth_destination)/,
      "$2,\n$1",
      async () => {
        assertProblem(await doctor(), /defer_unauth_destination comes before/, good);
      },
    );
    await edited(
      mainCf,
      written,
      // String.replace() takes dollars for its own
      `defer_unauth_destination\nsmtpd_recipient_restrictions = ${written.replaceAll("$", "$$$$")}`,
      async () => {
        assertProblem(
          await doctor(),
          /asks in smtpd_recipient_restrictions, which since Postfix 2.10 does not control/,
          good,
        );
      },
    );
    await edited(mainCf, written, "", async () => {
      assertWarning(await doctor(), /does not ask whether a client may relay/);
    });
    const bare = "check_client_access proxy:pgsql:$config_directory/popbsmtp.cf,";
    await edited(mainCf, written, bare, async () => {
      assertProblem(await doctor(), /is also asked for truncated IPv6 addresses/, good);
    });
    await edited(mainCf, written, "ours,", async () => {
      const text = readFileSync(mainCf, "utf8");
      write(
        mainCf,
        `${text}smtpd_restriction_classes = ours\nours = ${written.slice(0, -1)}\nproxy_read_maps = \${{1} == {1} ? {proxy:pgsql:$config_directory/popbsmtp.cf} : {}}\n`,
      );
      assert.equal((await doctor()).status, 0);
      write(mainCf, text);
    });
    await edited(
      mainCf,
      /$/,
      "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n",
      async () => {
        assertProblem(
          await doctor(),
          /smtpd_recipient_restrictions: reject_unauth_destination refuses again/,
          `${access}, reject_unauth_destination'`,
        );
      },
    );
    await edited(mainCf, /$/, "proxy_read_maps = static:all\n", async () => {
      assertProblem(await doctor(), /proxy_read_maps does not contain/, `proxy:pgsql:${map}"`);
    });
  });

  await t.test("Postfix: a map that is not the right one", async () => {
    const remedy = `popbsmtp --config ${box.config} print postfix map > ${map}`;
    chmodSync(map, 0o644);
    assertProblem(
      await doctor(),
      /every user may read the password/,
      `chown root:postfix ${map}\nchmod 640 ${map}`,
    );
    chmodSync(map, 0o640);
    await edited(map, /dbname = .*/, "dbname = other", async () => {
      assertProblem(await doctor(), /dbname is other/, remedy);
    });
    await edited(map, / AND .*/, "", async () => {
      assertProblem(await doctor(), /an address that logged in once may relay for ever/, remedy);
    });
    await edited(map, "'%s'", "'%s'::inet", async () => {
      assertProblem(await doctor(), /every client gets a 451/, remedy);
    });
    await edited(map, "1800 seconds", "3600 seconds", async () => {
      assertWarning(await doctor(), /not the one for this configuration/);
    });
    await box.popbsmtp("allow", "192.0.2.1");
    await edited(map, "WHERE", "WHERE 1 = 1 OR", async () => {
      assertProblem(await doctor(), /answers for 192\.0\.2\.0, which never logged in/, "postmap ");
    });
    await box.popbsmtp("revoke", "192.0.2.1");
    await edited(map, /password = .*/, "password = wrong", async () => {
      assertProblem(
        await doctor(),
        /asking .* fails: .*clients that may not relay get a 451/,
        `postmap -c `,
      );
    });
    renameSync(map, `${map}.old`);
    assertProblem(await doctor(), /is missing or cannot be read/, remedy);
    renameSync(`${map}.old`, map);
  });

  await t.test("rights that the database account does not have", async () => {
    await database.query(
      "CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT SELECT ON popbsmtp, popbsmtp_schema TO weak",
    );
    await edited(
      box.config,
      /^user = .*\npassword = .*/m,
      'user = "weak"\npassword = "weak"',
      async () => {
        assertProblem(
          await doctor(),
          /permission denied for table popbsmtp/,
          "schema print --roles",
        );
      },
    );
  });

  await t.test("rows that nobody purges", async () => {
    await box.popbsmtp("allow", "192.0.2.1");
    await database.query("UPDATE popbsmtp SET last_seen = now() - interval '3 days'");
    assertWarning(
      await doctor(),
      /1 expired, the first of them for 3 days: nothing purges them: no daemon is running, and cron has no/,
      "print cron > /etc/cron.d/popbsmtp",
    );
    await box.popbsmtp("purge");
  });

  await t.test("an older schema, and none", async () => {
    await database.query("DELETE FROM popbsmtp_schema WHERE version > 1");
    const remedy = `popbsmtp --config ${box.config} schema install`;
    assertProblem(await doctor(), /schema version 1; this popbsmtp needs \d/, remedy);
    await box.popbsmtp("schema", "install");
    await database.query("ALTER TABLE popbsmtp_schema RENAME TO gone");
    assertProblem(await doctor(), /at least one table is missing/, remedy);
    await database.query("ALTER TABLE gone RENAME TO popbsmtp_schema");
  });

  await t.test("a database that is down: 75, and nothing else is wrong", async () => {
    await database.stop();
    const report = await doctor();
    const found =
      /ECONNREFUSED.*: logins wait in the spool until it is back, and do not open the relay/;
    assertProblem(report, found, "systemctl restart postgresql", 75);
    await database.start();
    assert.equal((await doctor()).status, 0);
  });
});

test("doctor finds a SQLite database that Postfix cannot read", async () => {
  await using server = await mailServer("sqlite");
  const { box, doctor } = server;
  chmodSync(box.database, 0o600);
  assertProblem(
    await doctor(),
    /postfix cannot read .*popbsmtp.db \(EACCES\)/,
    `chgrp postfix ${box.database} && chmod g+r ${box.database}`,
  );
  chmodSync(box.database, 0o640);
  assert.equal((await doctor()).status, 0);

  for (const suffix of ["-wal", "-shm"]) rmSync(box.database + suffix);
  assertProblem(await doctor(), /popbsmtp.db-wal is missing/, "check 192.0.2.0");
});
