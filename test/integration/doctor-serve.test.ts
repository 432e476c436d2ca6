/**
 * `popbsmtp doctor` on a set-up with the daemon: nothing to say of a good one, and each thing
 * broken is found.
 */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  assertProblem,
  assertWarning,
  edited,
  follow,
  runDoctor,
  type Report,
} from "../support/doctor.ts";
import { startDovecot } from "../support/dovecot.ts";
import { install, type Installation } from "../support/installation.ts";
import { startPostfix } from "../support/postfix.ts";
import { configureServe, startServe, type ServeSockets } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { soakTest } from "../support/soak.ts";

const SETTINGS = "timeout=2s, default_action=DUNNO";

interface MailServer extends AsyncDisposable {
  readonly dovecotConf: string;
  readonly mainCf: string;
  readonly masterCf: string;
  readonly queue: string;
  readonly doctor: () => Promise<Report>;
  readonly stopDovecot: () => Promise<void>;
}

function relay(services: string): string {
  return `smtpd_relay_restrictions = permit_mynetworks, permit_auth_destination,\n  ${services},\n  defer_unauth_destination\n`;
}

async function mailServer(
  box: Installation,
  dovecotLines: string,
  mainCf: string,
): Promise<MailServer> {
  await using stack = new AsyncDisposableStack();
  const dovecot = stack.use(await startDovecot({ config: dovecotLines }));
  const postfix = stack.use(await startPostfix({ mainCf }));
  const resources = stack.move();
  return {
    dovecotConf: join(dovecot.directory, "dovecot.conf"),
    mainCf: join(postfix.directory, "main.cf"),
    masterCf: join(postfix.directory, "master.cf"),
    queue: join(postfix.directory, "../queue"),
    doctor: () => runDoctor(box, dovecot, postfix),
    stopDovecot: () => dovecot.stop(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

test("doctor understands the daemon that Dovecot's master runs", async (t) => {
  await using box = await install("sqlite");
  const { policy } = configureServe(box);
  await using server = await mailServer(
    box,
    await box.popbsmtp("print", "dovecot", "post-login"),
    relay(`check_policy_service { unix:${policy}, ${SETTINGS} }`),
  );
  const { doctor, dovecotConf } = server;
  // Dovecot's master starts it
  await waitUntil("the daemon to answer", async () => (await doctor()).status === 0);

  await t.test("a good set-up", async () => {
    const { text } = await doctor();
    assert.match(text, /\nno problems, no warnings\n$/);
    assert.match(text, /no logins waiting; popbsmtp serve is at work \(process \d+\)/);
    assert.match(text, /imap: each login asks popbsmtp serve, which answers \(.*\/popbsmtp-imap\)/);
    assert.match(text, /pop3: each login asks popbsmtp serve, which answers/);
    assert.match(text, /the daemon's policy gives the right answer/);
    assert.deepEqual(await box.rows(), []);
  });

  const within = (line: string) => `service popbsmtp {\n  ${line}\n}`;
  await t.test("a service that cannot work as it is configured", async () => {
    const mistakes = [
      ["vsz_limit = 1T", "", /does not start: vsz_limit is 256 MB/, "vsz_limit = 1T"],
      ["client_limit = 1000", "client_limit = 1", /client_limit is 1/, "client_limit = 1000"],
      ["process_limit = 1", "", /more than one process/, "process_limit = 1"],
      ["  user = root", "  user = mail", /becomes mail, who may not drain/, "user = root"],
      [
        /user = root/,
        "drop_priv_before_exec = yes",
        /started as root/,
        "drop_priv_before_exec = no",
      ],
      [
        ` --config ${box.config} serve`,
        " serve",
        /popbsmtp reads \/etc\/popbsmtp\/popbsmtp.toml there/,
        `executable = ${box.program} --config ${box.config} serve`,
      ],
      [`${box.program} `, "/usr/nosuch/popbsmtp ", /not a program: every login/, box.program],
      [
        "unix_listener popbsmtp-imap {",
        "unix_listener popbsmtp-imap {\nmode = 0666",
        /any process that can connect to popbsmtp-imap can authorize any address/,
        "unix_listener popbsmtp-imap { mode = 0600 }",
      ],
      [
        "_listener popbsmtp-imap {",
        "_listener popbsmtp-other {\n}\nunix_listener popbsmtp-imap {",
        /popbsmtp-other does not say/,
        "unix_listener",
      ],
    ] as const;
    for (const [from, to, found, advice] of mistakes) {
      await edited(dovecotConf, from, to, async () => {
        const line = advice.includes("=") ? within(advice) : advice;
        assertProblem(await doctor(), found, line);
      });
    }
    await edited(dovecotConf, /process_min_avail = 1\n(?= +#)/, "", async () => {
      assertWarning(await doctor(), /starts only at a login/);
    });
  });

  await t.test("logins that ask in the wrong place", async () => {
    await edited(dovecotConf, "imap popbsmtp-imap", "imap popbsmtp-pop3", async () => {
      assertProblem(
        await doctor(),
        /imap: asks .* at popbsmtp-pop3, which is for pop3/,
        "imap popbsmtp-imap",
      );
    });
    await edited(dovecotConf, /popbsmtp-imap/g, "popbsmtp-new-imap", async () => {
      assertProblem(
        await doctor(),
        /imap: nothing answers at .*popbsmtp-new-imap \(ENOENT\): Dovecot has not read its/,
        `doveadm -c ${dovecotConf} reload`,
      );
    });
    await edited(dovecotConf, "executable = pop3 popbsmtp-pop3", "", async () => {
      assertProblem(await doctor(), /pop3: no login is recorded/, "print dovecot");
    });
  });
});

test("doctor understands Dovecot's last_login plugin, which tells the daemon", async (t) => {
  await using box = await install("sqlite");
  const { policy } = configureServe(box);
  await using server = await mailServer(
    box,
    await box.popbsmtp("print", "dovecot"),
    relay(`check_policy_service { unix:${policy}, ${SETTINGS} }`),
  );
  const { doctor, dovecotConf } = server;
  await waitUntil("the daemon to answer", async () => (await doctor()).status === 0, {
    timeout: 60_000,
  });

  await t.test("a good set-up", async () => {
    const { text } = await doctor();
    assert.match(text, /\nno problems, no warnings\n$/);
    assert.match(
      text,
      /imap: each login is reported to popbsmtp serve, which listens \(.*popbsmtp-dict\)/,
    );
    assert.match(text, /pop3: each login is reported to popbsmtp serve/);
    assert.deepEqual(await box.rows(), []);
  });

  await t.test("what keeps logins from being told", async () => {
    const mistakes = [
      [
        /protocol pop3 \{[^}]*\}/,
        "",
        /pop3: no login is recorded: the effective mail_plugins/,
        "last_login",
      ],
      ["popbsmtp/%s/%r/%u", "last/%u", /last_login_key is last\/%u: no login/, "popbsmtp/%s/%r/%u"],
      [
        "mode = 0660",
        "mode = 0666",
        /any process that can connect to popbsmtp-dict can authorize/,
        "mode = 0660",
      ],
      ["mode = 0660", "mode = 0600", /mail processes cannot connect to popbsmtp-dict/, "group = "],
      ["vsz_limit = 1T", "", /does not start: .*: no login is recorded$/, "vsz_limit = 1T"],
      [
        /popbsmtp-dict/g,
        "popbsmtp-x-dict",
        /nothing listens at .* \(ENOENT\): logins proceed,/,
        "reload",
      ],
    ] as const;
    for (const [from, to, found, advice] of mistakes) {
      await edited(dovecotConf, from, to, async () => {
        assertProblem(await doctor(), found, advice);
      });
    }
  });
});

soakTest("doctor understands a daemon on its own", async (t) => {
  await using box = await install("sqlite");
  await using daemon = await startServe(box, "metrics = false");
  await using server = await mailServer(
    box,
    ownSockets(daemon),
    relay(
      `check_policy_service { unix:${daemon.policy}, ${SETTINGS} }, check_client_access socketmap:unix:${daemon.socketmap}:popbsmtp`,
    ),
  );
  const { doctor, mainCf, masterCf, queue } = server;

  await t.test("a good set-up", async () => {
    const { status, text } = await doctor();
    assert.equal(status, 0, text);
    assert.match(text, /no problems, no warnings/);
    assert.match(text, /the daemon's socketmap gives the right answer/);
  });

  await t.test("a policy service that a daemon's end would make harmful", async () => {
    const right = `check_policy_service { unix:${daemon.policy}, timeout=2s, default_action=DUNNO }`;
    await edited(mainCf, ", default_action=DUNNO", "", async () => {
      assertProblem(
        await doctor(),
        /without default_action=DUNNO clients that may not relay get a 451/,
        right,
      );
    });
    await edited(mainCf, ", timeout=2s", "", async () => {
      assertWarning(await doctor(), /without timeout=2s .* for 100 s/);
    });
    await edited(
      mainCf,
      `{ unix:${daemon.policy}, ${SETTINGS} }`,
      `unix:${daemon.policy}`,
      async () => {
        assertProblem(await doctor(), /without default_action=DUNNO/, right);
      },
    );
    await edited(
      mainCf,
      `{ unix:${daemon.policy}, ${SETTINGS} }`,
      `unix:${daemon.policy}`,
      async () => {
        await edited(
          mainCf,
          /$/,
          "smtpd_policy_service_default_action = DUNNO\nsmtpd_policy_service_timeout = 2s\n",
          async () => assert.equal((await doctor()).status, 0),
        );
      },
    );
  });

  await t.test("a policy service in the wrong place", async () => {
    await edited(mainCf, /(permit_auth_destination),([^]*\}),/, "$2, $1,", async () => {
      assertWarning(await doctor(), /mail for your own domains is deferred/);
    });
    await edited(
      mainCf,
      /(check_policy[^]*\}),([^]*)defer_unauth_destination/,
      "$2 defer_unauth_destination, $1",
      async () => {
        assertProblem(
          await doctor(),
          /defer_unauth_destination comes before check_policy/,
          "postconf ",
        );
      },
    );
  });

  await t.test("nothing that asks", async () => {
    await edited(mainCf, /check_policy[^]*:popbsmtp,\n/, "", async () => {
      const { text } = await doctor();
      assert.match(text, /does not ask whether a client may relay/);
      assert.ok(text.includes(`check_policy_service { unix:${daemon.policy}, ${SETTINGS} }`), text);
    });
  });

  await t.test("a socketmap that proxymap is not allowed to ask", async () => {
    const map = `socketmap:unix:${daemon.socketmap}:popbsmtp`;
    await edited(mainCf, map, `proxy:${map}`, async () => {
      assert.equal((await doctor()).status, 0);
      await edited(mainCf, /$/, "proxy_read_maps = static:all\n", async () => {
        assertProblem(await doctor(), /proxy_read_maps does not contain/, `proxy:${map}"`);
      });
    });
  });

  await t.test("a socket that a chrooted smtpd cannot reach", async () => {
    await edited(masterCf, "n - n - - smtpd", "n - y - - smtpd", async () => {
      assertProblem(
        await doctor(),
        new RegExp(
          `nothing answers postfix at ${queue}${daemon.policy} \\(ENOENT\\): no client may relay`,
        ),
        `policy = "${queue}${daemon.policy}"`,
      );
    });
  });

  await t.test("a socket that Postfix may not connect to", async () => {
    chmodSync(daemon.policy, 0o600);
    assertProblem(await doctor(), /nothing answers postfix at .* \(EACCES\)/, "serve --check");
    chmodSync(daemon.policy, 0o666);
  });

  await t.test("a configuration that only root can read, for the next reload", async () => {
    chmodSync(box.config, 0o600);
    assert.match(await daemon.reload(), /reload-refused/);
    const found = /popbsmtp\.toml: nobody cannot read it \(EACCES\), .* at the next reload/;
    const report = await doctor();
    assertProblem(report, found, `chgrp nogroup ${box.config} && chmod g+r ${box.config}`);
    await follow(report, "problem", found, box);
    assert.match(await daemon.reload(), /info reloaded/);
    assert.equal((await doctor()).status, 0);
  });

  const insist = { timeout: 60_000 };
  await t.test("a socket that the daemon could not make, until it has", async () => {
    await daemon.stop();
    writeFileSync(daemon.socketmap, "");
    await daemon.start();
    const found = /popbsmtp serve .* is running without .*: serve\.socketmap: .*socketmap/;
    assertProblem(await doctor(), found, "popbsmtp serve --check");
    rmSync(daemon.socketmap);
    await waitUntil("all to be well", async () => (await doctor()).status === 0, insist);
  });

  await t.test("a configuration that has changed since the daemon has read it", async () => {
    const found = /popbsmtp\.toml was changed .* ago, and popbsmtp serve .* has not read it since/;
    await waitUntil(
      "doctor to see it",
      async () => {
        utimesSync(box.config, new Date(), new Date());
        return found.test((await doctor()).text);
      },
      insist,
    );
    await follow(await doctor(), "warning", found, box);
    await waitUntil("the daemon to have read it", async () => !found.test((await doctor()).text));
  });

  await t.test("a daemon older than the program", async () => {
    const found = /popbsmtp serve \(process \d+\) is older than the program, .* the one before/;
    await waitUntil(
      "doctor to see it",
      async () => {
        copyFileSync(box.program, `${box.program}.new`);
        chmodSync(`${box.program}.new`, 0o755);
        renameSync(`${box.program}.new`, box.program);
        return found.test((await doctor()).text);
      },
      insist,
    );
    assertWarning(await doctor(), found, `kill ${String(daemon.pid)} `);
    await daemon.stop();
    await daemon.start();
    const { text } = await doctor();
    assert.match(text, /popbsmtp serve \(process \d+\) runs this program/);
    assert.ok(!found.test(text), text);
  });

  await t.test("a port that any local user could have meanwhile", async () => {
    const { policy } = daemon;
    const several = `policy = ["${policy}", "127.0.0.1:10040", "127.0.0.1:1004"]`;
    await edited(box.config, `policy = "${policy}"`, several, async () => {
      const report = await doctor();
      const found = /serve\.policy: 127\.0\.0\.1:10040 is a port above 1023: any local user can/;
      assertWarning(report, found, 'policy = "/var/spool/postfix/popbsmtp/policy"');
      assert.ok(!report.text.includes("127.0.0.1:1004 is"), report.text);
    });
    await daemon.reload();
  });

  await t.test("a daemon that is stopped", async () => {
    await daemon.stop();
    const report = await doctor();
    assertProblem(
      report,
      /imap: nothing answers at .*\(ENOENT\): every login is refused/,
      "systemctl start popbsmtp",
    );
    assertProblem(
      report,
      /nothing answers postfix at .*policy \(ENOENT\): no client may relay/,
      "systemctl start popbsmtp",
    );
    assertProblem(
      report,
      /nothing answers postfix at .*socketmap \(ENOENT\): clients that may not relay get a 451/,
      "",
    );
    assert.match(report.text, /no drain at work/);
    await daemon.start();
    assert.equal((await doctor()).status, 0);
  });

  await t.test("a daemon that hangs", async () => {
    daemon.pause();
    assertProblem(
      await doctor(),
      /imap: no answer within 2 s at .*: every login is refused/,
      `kill -9 ${String(daemon.pid)}`,
    );
    daemon.resume();
  });

  await t.test("Dovecot is stopped", async () => {
    await server.stopDovecot();
    assertProblem(
      await doctor(),
      /is not running: nobody can read mail/,
      `dovecot -c ${server.dovecotConf}    # doveadm reload starts nothing`,
    );
  });
});

function ownSockets({ imap, pop3 }: ServeSockets): string {
  return `service imap {\n  executable = imap ${imap}\n}\nservice pop3 {\n  executable = pop3 ${pop3}\n}\n`;
}
