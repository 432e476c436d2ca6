/**
 * dpkg installs, upgrades, removes and purges the packages on a copy of this host, without systemd
 * at work.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { node, program } from "../../scripts/package/contents.ts";
import { makeDeb } from "../../scripts/package/deb.ts";
import { run, type RunResult } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const TIME = Date.parse("2026-03-03T10:00:00Z") / 1000;

const ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", HOME: "/" };

/** In a new mount namespace: this host, with its changes in $0; then a command in it. */
const ENTER = `
  mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
  mount -t proc proc "$0/root/proc"
  mount --rbind /dev "$0/root/dev"
  mount --bind "$0/packages" "$0/root/mnt"
  exec chroot "$0/root" sh -e -c "$1"
`;

describe("the packages", () => {
  const directory = temporaryDirectory();

  /** Runs a script on the copy, whose changes stay. */
  async function attempt(script: string): Promise<RunResult> {
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
    return await run("unshare", [...namespaces, "sh", "-e", "-c", ENTER, directory.path, script], {
      env: ENV,
    });
  }

  async function shell(script: string): Promise<string> {
    const { status, stdout, stderr } = await attempt(script);
    assert.equal(status, 0, `${script}: ${stdout.toString()}${stderr.toString()}`);
    return stdout.toString();
  }

  const status = () =>
    shell("dpkg-query --show --showformat='${db:Status-Status} ${Version}\\n' popbsmtp");

  const dpkg = "dpkg --no-triggers --force-unsafe-io --force-confold";

  before(async () => {
    for (const name of ["upper", "work", "root", "packages"]) {
      mkdirSync(join(directory.path, name));
    }
    const packages = join(directory.path, "packages");
    makeDeb(packages, await program("0.9.0", TIME), TIME, "none");
    makeDeb(packages, await program("1.0.0", TIME), TIME, "none");
    makeDeb(packages, node(TIME), TIME, "none");
    await shell(`
      rm -rf /etc/dovecot/* /etc/postfix/main.cf
      echo 'protocols = imap' >/etc/dovecot/dovecot.conf
      echo 'compatibility_level = 3.6' >/etc/postfix/main.cf
    `);
  });
  after(() => directory[Symbol.asyncDispose]());

  it("install an account, its directories and a program that finds its Node", async () => {
    const untouched = await shell("cd /etc && find dovecot postfix -type f -exec sha256sum {} +");
    await shell(`${dpkg} --install /mnt/popbsmtp_0.9.0_all.deb /mnt/popbsmtp-node_*.deb`);
    assert.equal(await status(), "installed 0.9.0\n");
    assert.equal(
      await shell("cd /etc && find dovecot postfix -type f -exec sha256sum {} +"),
      untouched,
    );
    assert.match(await shell("getent passwd popbsmtp"), /:\/nonexistent:\/usr\/sbin\/nologin$/m);
    const paths = [
      "/etc/popbsmtp",
      "/etc/popbsmtp/popbsmtp.toml",
      "/var/spool/popbsmtp",
      "/run/popbsmtp",
      "/var/spool/postfix/popbsmtp",
    ];
    assert.deepEqual(
      (await shell(`stat --format '%n %U:%G %a' ${paths.join(" ")}`)).trim().split("\n"),
      [
        "/etc/popbsmtp root:popbsmtp 750",
        "/etc/popbsmtp/popbsmtp.toml root:popbsmtp 640",
        "/var/spool/popbsmtp popbsmtp:popbsmtp 700",
        "/run/popbsmtp popbsmtp:popbsmtp 755",
        "/var/spool/postfix/popbsmtp root:root 755",
      ],
    );
    assert.match(await shell("popbsmtp --version"), /^\d+\.\d+\.\d+\n$/);
    assert.match(
      await shell("popbsmtp print systemd service"),
      /^ExecStart=\/usr\/lib\/popbsmtp\/popbsmtp serve$/m,
    );
    assert.equal(await shell("popbsmtp --no-wait --no-drain /bin/echo mail"), "mail\n");
    assert.match(await shell("man -w 8 popbsmtp 5 popbsmtp.toml"), /man8.*man5/s);
  });

  it("work with SQLite as they are", async () => {
    await shell("popbsmtp schema install && popbsmtp allow 192.0.2.1 && popbsmtp check 192.0.2.1");
  });

  it("keep the configuration and its mode when they are upgraded", async () => {
    await shell(`
      echo 'lifetime = "1h"' >/etc/popbsmtp/popbsmtp.toml
      chmod 600 /etc/popbsmtp/popbsmtp.toml
      ${dpkg} --install /mnt/popbsmtp_1.0.0_all.deb
    `);
    assert.equal(await status(), "installed 1.0.0\n");
    assert.equal(
      await shell("cat /etc/popbsmtp/popbsmtp.toml; stat -c %a:%G /etc/popbsmtp/popbsmtp.toml"),
      'lifetime = "1h"\n600:popbsmtp\n',
    );
  });

  it("end a drain of the old version when they are upgraded", async () => {
    const ended = await shell(`
      printf '[store]\\ndriver = "sqlite"\\n' >/etc/popbsmtp/popbsmtp.toml
      TCPREMOTEIP=192.0.2.2 USER=bob popbsmtp --wait 5000 /bin/true
      pid=$(head -n 1 /var/spool/popbsmtp/.pid | cut -d ' ' -f 1)
      test -d /proc/$pid
      ${dpkg} --install /mnt/popbsmtp_1.0.0_all.deb >/dev/null
      while kill -0 $pid 2>/dev/null; do sleep 0.05; done
      echo ended
      popbsmtp check 192.0.2.2 >/dev/null
    `);
    assert.equal(ended, "ended\n");
  });

  it("stay installed as long as a mail server uses them", async () => {
    await shell(
      "postconf -e smtpd_relay_restrictions=check_policy_service,unix:popbsmtp/policy,reject",
    );
    const { status: refusal, stderr } = await attempt(`${dpkg} --remove popbsmtp`);
    assert.equal(refusal, 1);
    assert.match(
      stderr.toString(),
      /popbsmtp is not removed.*\n {2}Postfix: smtpd_relay_restrictions/,
    );
    assert.equal(await status(), "installed 1.0.0\n");
    await shell("dpkg --audit && popbsmtp --version");
    await shell("postconf -X smtpd_relay_restrictions");
  });

  it("leave the configuration and the store behind when they are removed", async () => {
    await shell(`
      printf '[store]\\ndriver = "pgsql"\\ndatabase = "mail"\\npassword = "secret"\\n' >/etc/popbsmtp/popbsmtp.toml
      ${dpkg} --remove popbsmtp
    `);
    assert.equal(await status(), "config-files 1.0.0\n");
    await shell(
      "test ! -e /usr/bin/popbsmtp && test -e /etc/popbsmtp/popbsmtp.toml && test -e /var/lib/popbsmtp/popbsmtp.db",
    );
  });

  it("leave nothing behind when they are purged, and say what a database keeps", async () => {
    const output = await shell(`${dpkg} --purge popbsmtp popbsmtp-node`);
    assert.match(
      output,
      /popbsmtp_revocations.*\n.*\n {2}driver = "pgsql"\n {2}database = "mail"\n/,
    );
    assert.doesNotMatch(output, /secret/);
    const left = await shell(
      "find /etc /var /usr /run -xdev -name '*popbsmtp*' -not -path '/var/cache/*' -not -path '*/backups/*'",
    );
    assert.equal(left, "");
    assert.equal(
      await shell("getent passwd popbsmtp || getent group popbsmtp || echo none"),
      "none\n",
    );
  });

  it("install again", async () => {
    await shell(`${dpkg} --install /mnt/popbsmtp_1.0.0_all.deb /mnt/popbsmtp-node_*.deb`);
    assert.equal(await status(), "installed 1.0.0\n");
    await shell("popbsmtp schema install && popbsmtp --version");
  });
});
