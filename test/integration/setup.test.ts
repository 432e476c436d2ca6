/** `popbsmtp setup` on a mail server of its own, as Debian makes one: from the program to a relayed message, and back. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startMachine, type Machine } from "../support/machine.ts";
import { inSoak } from "../support/soak.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENT = "192.0.2.10";

/** What setup may change of the administrator's. */
const ADMINISTRATORS = "cd /etc && find dovecot postfix -type f -exec sha256sum {} + | sort";

describe("popbsmtp setup", () => {
  let machine: Machine;
  let untouched: string;
  before(async () => {
    machine = await startMachine();
    await machine.shell(`install -D -m 755 bin/popbsmtp /usr/local/lib/popbsmtp/popbsmtp
ln node_modules/node/bin/node /usr/local/lib/popbsmtp/node 2>/dev/null || cp node_modules/node/bin/node /usr/local/lib/popbsmtp/node
ln -s /usr/local/lib/popbsmtp/popbsmtp /usr/local/bin/popbsmtp`);
    untouched = await machine.shell(ADMINISTRATORS);
  });
  after(() => machine[Symbol.asyncDispose]());

  async function assertUntouched(): Promise<void> {
    assert.equal(await machine.shell(ADMINISTRATORS), untouched);
    const paths = "/etc /run /var/lib /var/spool";
    const left = await machine.shell(`find ${paths} -xdev -name '*popbsmtp*'`);
    assert.equal(left, "");
    assert.notEqual((await machine.run("id popbsmtp")).status, 0);
    await machine.readMail(CLIENT);
    assert.match(await machine.send(CLIENT), /^454 /);
  }

  async function assertRelays(): Promise<void> {
    await machine.readMail(CLIENT);
    await waitUntil("a message to be relayed", async () => (await machine.send(CLIENT)) === "");
  }

  /** An administrator who wants nothing of popbsmtp any more. */
  async function forget(): Promise<void> {
    await machine.shell(`popbsmtp setup --undo
rm -rf /etc/popbsmtp /var/spool/popbsmtp /var/lib/popbsmtp
for ((n = 0; n < 100; n++)); do ! userdel popbsmtp || break; sleep 0.1; done`);
    await assertUntouched();
  }

  async function refuses(command: string): Promise<string> {
    const { status, stdout, stderr } = await machine.run(`cd /\n${command}`);
    assert.notEqual(status, 0, stdout.toString());
    return stderr.toString();
  }

  it("says what is wrong with its options, and does nothing", async () => {
    assert.match(
      await refuses("popbsmtp setup </dev/null"),
      /no terminal to ask at: add --yes .* --dry-run/,
    );
    assert.match(
      await refuses("popbsmtp setup --yes --store oracle"),
      /choices are sqlite, pgsql, mysql/,
    );
    assert.match(
      await refuses("popbsmtp setup --yes --store pgsql"),
      /--store: pgsql: no server .*docs\/postgresql\.md/,
    );
    assert.match(
      await refuses("popbsmtp setup --yes --database 'a b'"),
      /--database: a b: expected letters/,
    );
    assert.match(
      await refuses("popbsmtp setup --yes --service smtps"),
      /master\.cf has no smtpd named smtps; it has smtp\/inet/,
    );
    assert.match(await refuses("popbsmtp --config /tmp/x setup --yes"), /--config: setup writes/);
    assert.match(
      await refuses("setpriv --reuid nobody --clear-groups popbsmtp setup --yes"),
      /only root can/,
    );
    await machine.shell("mv /etc/postfix/main.cf /tmp; ln -s /tmp/main.cf /etc/postfix");
    assert.match(await refuses("popbsmtp setup --yes"), /main\.cf is a symbolic link/);
    await machine.shell("mv /tmp/main.cf /etc/postfix");
    await assertUntouched();
  });

  it("asks somebody at a terminal, shows what it would do, and leaves it at a no", async () => {
    // SQLite; then no, which is proposed
    const shown = await machine.shell(
      `{ sleep 3; printf '\\r'; sleep 3; printf '\\r'; sleep 1; } | script -qe -c 'TERM=xterm popbsmtp setup' /dev/null || (($? == 1))`,
    );
    assert.match(shown, /Dovecot 2\.\d.* and Postfix 3\.\d/);
    assert.match(shown, /SQLite.*PostgreSQL|SQLite/);
    assert.match(shown, /useradd --system/);
    assert.match(shown, /^\+driver = "sqlite"\r?$/m);
    assert.match(shown, /^\+check_policy_service \{ unix:popbsmtp\/policy,/m);
    await assertUntouched();
  });

  it("takes everything back where a step fails", async () => {
    await machine.write(
      "/usr/local/sbin/postfix",
      "#!/bin/sh\nrm /usr/local/sbin/postfix\necho the queue is on fire >&2\nexit 1\n",
    );
    await machine.shell("chmod 755 /usr/local/sbin/postfix");
    const said = await refuses("popbsmtp setup --yes");
    assert.match(said, /^popbsmtp: setup: Have Postfix ask the daemon.*: the queue is on fire/m);
    assert.match(said, /everything is as it was/);
    await assertUntouched();
  });

  it("takes back what one did that was killed, before another begins", async () => {
    await machine.shell(`popbsmtp setup --yes >/dev/null 2>&1 &
until [[ -e /etc/dovecot/conf.d/99-popbsmtp.conf ]]; do sleep 0.01; done
kill -9 %1`);
    assert.match(
      await refuses("popbsmtp setup --yes"),
      /was interrupted: popbsmtp setup --undo takes back/,
    );
    await machine.shell("popbsmtp setup --undo");
    await assertUntouched();
  });

  it("takes everything back though Dovecot has ended meanwhile", async () => {
    await machine.write(
      "/usr/local/sbin/postfix",
      `#!/bin/sh
rm /usr/local/sbin/postfix
doveadm stop
exit 1
`,
    );
    await machine.shell("chmod 755 /usr/local/sbin/postfix");
    assert.match(await refuses("popbsmtp setup --yes"), /everything is as it was/);
    // a Dovecot that ends leaves its sockets
    await machine.shell("rm -f /run/dovecot/popbsmtp-dict; dovecot >/dev/null 2>&1");
    await assertUntouched();
  });

  let made: string;
  const FILES =
    "cd /etc && sha256sum popbsmtp/popbsmtp.toml dovecot/conf.d/99-popbsmtp.conf postfix/main.cf";

  it("makes a server that relays for whoever has read mail", async () => {
    await machine.shell("popbsmtp setup --store sqlite --yes");
    await assertRelays();
    made = await machine.shell(FILES);
    assert.equal(
      await machine.shell("stat -c '%a %U:%G' /etc/popbsmtp/popbsmtp.toml /var/lib/popbsmtp-setup"),
      "640 root:popbsmtp\n700 root:root\n",
    );
  });

  it("changes nothing when it is run again", async () => {
    const all = `find /etc /var/lib/popbsmtp-setup -xdev -type f -printf '%p %T@ %s\n' | sort`;
    const found = await machine.shell(all);
    assert.match(await machine.shell("popbsmtp setup --store pgsql --yes"), /set up already/);
    assert.equal(await machine.shell(all), found);
  });

  it("leaves alone what the administrator has changed since, and says so", async () => {
    await machine.shell("postconf -e 'smtpd_relay_restrictions = reject'");
    assert.match(
      await refuses("popbsmtp setup --undo"),
      /smtpd_relay_restrictions or other lines of .*main\.cf have been changed since: take out "check_policy_service/,
    );
    await machine.shell("postconf -X smtpd_relay_restrictions");
    assert.match(await refuses("popbsmtp setup --undo"), /changed since/);
    await machine.shell(
      "cp -p /var/lib/popbsmtp-setup/_etc_postfix_main.cf.after /etc/postfix/main.cf",
    );
  });

  it("takes popbsmtp out of Dovecot and Postfix again", async () => {
    await machine.shell("popbsmtp setup --undo");
    assert.equal(await machine.shell(ADMINISTRATORS), untouched);
    assert.match(await machine.shell("popbsmtp setup --undo"), /nothing to take back/);
    await forget();
  });

  it("prints a script that does the same", async () => {
    await machine.shell("popbsmtp setup --dry-run >/tmp/setup.sh");
    await assertUntouched();
    await machine.shell("sh /tmp/setup.sh");
    assert.equal(await machine.shell(FILES), made);
    await assertRelays();
    await forget();
  });

  it("sets up PostgreSQL, and a single port", async () => {
    await machine.shell(`pg_ctlcluster $(ls /etc/postgresql) main start
postconf -M 'submission/inet=submission inet n - y - - smtpd'`);
    const found = await machine.shell(ADMINISTRATORS);
    await machine.shell("popbsmtp setup --store pgsql --service submission/inet --yes");
    await machine.readMail(CLIENT);
    assert.match(await machine.send(CLIENT), /^454 /);
    assert.match(
      await machine.shell("postconf -P"),
      /^submission\/inet\/smtpd_relay_restrictions = \$popbsmtp_relay_restrictions$/m,
    );
    assert.match(await machine.shell("popbsmtp list"), /^192\.0\.2\.10 .*bob/m);
    await machine.shell("popbsmtp setup --undo");
    assert.equal(await machine.shell(ADMINISTRATORS), found);
  });

  for (const daemon of inSoak("dovecot", "systemd")) {
    it(`sets up MariaDB, with a daemon of ${daemon}`, async () => {
      await machine.shell(`install -d -o mysql /run/mysqld
mariadb -e 'SELECT 1' >/dev/null 2>&1 || {
  setsid mariadbd --user=mysql </dev/null >/var/log/mariadb.log 2>&1 &
}
until mariadb -e 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
rm -rf /etc/popbsmtp`);
      const found = await machine.shell(ADMINISTRATORS);
      await machine.shell(
        `popbsmtp setup --store mysql --daemon ${daemon} --database mail_${daemon} --yes`,
      );
      await assertRelays();
      await machine.shell("popbsmtp setup --undo");
      assert.equal(await machine.shell(ADMINISTRATORS), found);
      await machine.shell(
        `mariadb -e "DROP USER popbsmtp@'%', popbsmtp_purger@'%', popbsmtp_reader@'%'"`,
      );
    });
  }
});
