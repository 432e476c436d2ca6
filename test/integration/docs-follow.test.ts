/**
 * The pages of the documentation, followed from top to bottom on a mail server of their own; every
 * block of theirs is run.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { BLOCKS } from "../support/docs.ts";
import { blocksOf, follow, followed } from "../support/docs-follow.ts";
import { startMachine, type Client, type Machine } from "../support/machine.ts";
import { waitUntil } from "../support/wait-until.ts";

const [ALICE, BOB, CAROL] = ["192.0.2.10", "192.0.2.11", "192.0.2.12"] as const;
const CONFIG = "/etc/popbsmtp/popbsmtp.toml";
const PATIENCE = { timeout: 30_000, interval: 200 };

async function assertRefused(machine: Machine, from: Client): Promise<void> {
  assert.match(await machine.send(from), /^454 4\.7\.1 .*Relay access denied$/);
}

/** A login counts at once with the daemon, and a moment later without. */
async function relays(machine: Machine, from: Client): Promise<void> {
  let said = "";
  await waitUntil(
    `a message from ${from} to be relayed`,
    async () => {
      said = await machine.send(from);
      return said === "";
    },
    PATIENCE,
  ).catch(async (error: unknown) => {
    throw new Error(`${said}\n${await machine.shell("tail -n 50 /var/log/mail.log")}`, {
      cause: error,
    });
  });
}

/** No message from there is relayed after a while. */
async function closes(machine: Machine, from: Client): Promise<void> {
  await waitUntil(
    `messages from ${from} to be refused`,
    async () => {
      return (await machine.send(from)).startsWith("454 ");
    },
    PATIENCE,
  );
}

async function listed(machine: Machine): Promise<string> {
  return await machine.shell("popbsmtp list");
}

/** The program is already installed: the first test builds it. */
async function installed(machine: Machine): Promise<void> {
  const below = ["2. Install the program", "3. Create the account and directories"];
  const output = await follow(machine, { page: "docs/install.md", below });
  assert.match(output, /^\d+\.\d+\.\d+$/m);
}

async function assertGone(machine: Machine): Promise<void> {
  const paths = "/etc /run /usr/local /var/lib /var/spool /usr/local";
  assert.equal(await machine.shell(`find ${paths} -xdev -name '*popbsmtp*' ! -path '*/doc/*'`), "");
  assert.equal((await machine.run("id popbsmtp")).status, 1);
  await machine.readMail(CAROL);
  await assertRefused(machine, CAROL);
}

test("the quick start ends with a relayed message; Operations goes on from there, to the removal", async () => {
  await using machine = await startMachine();
  const quickStart = { page: "README.md", below: ["Quick start"] };
  const blocks = blocksOf(quickStart);
  const client = blocks.findIndex(({ note }) => note === "client");
  const beginnings = (found: typeof blocks) => found.map(({ text }) => text);
  // on the mail server itself, with nobody to ask, and without the minute that compressing Node takes
  await follow(machine, { ...quickStart, blocks: beginnings(blocks.slice(0, client)) }, (text) =>
    text
      .replace(/^apt install/, "cd dist\n$&")
      .replace(/package$/m, "$& -- --fast")
      .replace(/setup$/m, "$& --yes"),
  );
  await assertRefused(machine, ALICE);
  // the same on a machine whose user types the password, and knows the authority of the certificate
  const lines = blocks[client]?.text.replace("--user bob", "--user bob:secret");
  await machine.write("/tmp/.curlrc", `interface = ${ALICE}\n`);
  await machine.shell(`export HOME=/tmp CURL_CA_BUNDLE=/etc/dovecot/private/dovecot.pem
cd /tmp
${lines}`);
  for (const block of blocks.slice(client, client + 1)) followed.add(block);
  await waitUntil("the message to be sent", async () => {
    return (await machine.shell("cat /var/log/mail.log")).includes("status=sent");
  });
  const last = await follow(machine, {
    ...quickStart,
    blocks: beginnings(blocks.slice(client + 1)),
  });
  assert.match(last, /^192\.0\.2\.10 .*bob/m);
  assert.match(last, /to=<alice@example\.net>.* status=sent/);
  assert.match(await machine.shell("cat /srv/elsewhere/*"), /Subject: popbsmtp/);

  const page = "docs/operations.md";
  await follow(machine, { page, below: ["Watch over it", "Change the configuration"] });
  await machine.readMail(BOB, "bob@example.org");
  await relays(machine, BOB);
  // the thief is connected
  await machine.shell(`bash -c 'exec 3<>/dev/tcp/mail.example.org/143
echo "a login bob@example.org secret" >&3
grep -qm 1 "^a OK" <&3
touch /tmp/connected
sleep infinity' </dev/null >/dev/null 2>&1 &
until [[ -e /tmp/connected ]]; do sleep 0.05; done`);
  await follow(machine, { page, below: ["Stolen account"] });
  await closes(machine, BOB);
  await follow(machine, { page, below: ["Removal"], blocks: ["popbsmtp setup"] }, (text) =>
    text.replace("apt purge", "$& -y"),
  );
  await assertGone(machine);
});

test("PostgreSQL; post-login, then the plugin; the policy service, the socketmap and the map", async () => {
  await using machine = await startMachine();
  await follow(machine, { page: "docs/install.md", below: ["1. Build"] });
  await installed(machine);
  await machine.shell("pg_ctlcluster $(ls /etc/postgresql) main start");
  await follow(machine, { page: "docs/postgresql.md" });
  await follow(machine, { page: "docs/dovecot.md", below: ["post-login"] });
  await follow(machine, { page: "docs/postfix.md", below: ["The policy service"] });
  await assertRefused(machine, ALICE);
  await machine.readMail(ALICE);
  await relays(machine, ALICE);
  await follow(machine, { page: "docs/dovecot.md", below: ["From post-login to dict"] });
  await machine.readMail(BOB);
  await relays(machine, BOB);
  const map = "socketmap:unix:/run/popbsmtp/socketmap:relay";
  await follow(machine, { page: "docs/postfix.md", below: ["The socketmap"] });
  assert.equal(await machine.shell(`postmap -q ${BOB} ${map}`), "OK\n");
  const asked = await follow(machine, { page: "docs/postfix.md", below: ["The map"] });
  assert.match(asked, /^OK\n(?!OK)/m);
  await relays(machine, BOB);
  await assertRefused(machine, CAROL);
  await follow(machine, { page: "docs/operations.md", below: ["Upgrade"] });
  await machine.readMail(BOB);
  await relays(machine, BOB);

  const several = { page: "docs/several-stores.md", below: ["More than one store"] };
  const [toml] = blocksOf(several);
  assert.equal(toml?.language, "toml");
  const serve = '\n[serve]\npolicy = "/var/spool/postfix/popbsmtp/policy"\n';
  await machine.write(CONFIG, toml.text.replace("db.example.org", "localhost") + serve);
  await follow(machine, { ...several, blocks: ["popbsmtp schema install"] });
  await machine.readMail(CAROL);
  await waitUntil("both stores to be written to", async () =>
    (await listed(machine)).includes(CAROL),
  );
  await machine.shell("rm /etc/dovecot/conf.d/99-popbsmtp.conf; doveadm reload");
  await follow(machine, {
    page: "docs/operations.md",
    below: ["Removal"],
    blocks: ["cd /\nrunuser"],
  });
});

test("MariaDB and the plugin; then DRAC's clients report to the daemon", async () => {
  await using machine = await startMachine();
  await installed(machine);
  await machine.shell(`install -d -o mysql /run/mysqld
setsid mariadbd --user=mysql </dev/null >/var/log/mariadb.log 2>&1 &
until mariadb -e 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done`);
  await follow(machine, { page: "docs/mysql.md" });
  await follow(machine, { page: "docs/dovecot.md", below: ["dict"] });
  await follow(machine, { page: "docs/postfix.md", below: ["The policy service"] });
  await machine.readMail(ALICE);
  await relays(machine, ALICE);
  await assertRefused(machine, BOB);

  await machine.shell(`cp -r test/support/drac /tmp/drac
cd /tmp/drac
rpcgen -C drac.x && rpcgen -C -m -o drac_dispatch.c drac.x
gcc -I/usr/include/tirpc -o client client.c drac_clnt.c drac_xdr.c -ltirpc
gcc -I/usr/include/tirpc -o /usr/sbin/rpc.dracd server.c drac_dispatch.c drac_xdr.c -ltirpc
mkdir -p /etc/mail
printf '255.255.255.255 127.0.0.1\n' >/etc/mail/dracd.allow
rpcbind
setsid rpc.dracd 2 0 </dev/null >/var/log/dracd.log 2>&1 &
until rpcinfo -u localhost 900101; do sleep 0.1; done`);
  const page = "docs/from-drac.md";
  await follow(machine, { page, below: ["1. Install and configure", "2. Stop rpc.dracd"] });
  await machine.shell("doveadm reload");
  await waitUntil("the daemon to be registered", async () => {
    return (await machine.run("rpcinfo -u localhost 900101")).status === 0;
  });
  await machine.shell(`/tmp/drac/client 127.0.0.1 udp ${BOB}`);
  const output = await follow(machine, { page, below: ["3. Start the daemon"] });
  assert.match(output, /version 1 ready and waiting\n.*version 2 ready and waiting/);
  assert.match(output, /^192\.0\.2\.11 .*drac/m);
  await relays(machine, BOB);
  await follow(machine, { page, below: ["5. Check, and remove DRAC"] });
  await machine.shell("rm /etc/dovecot/conf.d/99-popbsmtp.conf; doveadm reload");
  await follow(machine, {
    page: "docs/operations.md",
    below: ["Removal"],
    blocks: ["mariadb mail"],
  });
});

test("from pop-before-smtp to a daemon that systemd runs and that watches the same log", async () => {
  await using machine = await startMachine();
  await machine.shell(`printf '192.0.2.99 ok\n' >/etc/postfix/pop-before-smtp
postmap hash:/etc/postfix/pop-before-smtp
postconf -e 'smtpd_relay_restrictions = permit_mynetworks, check_client_access hash:/etc/postfix/pop-before-smtp, reject_unauth_destination'
printf '[Service]\nUser=root\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/pop-before-smtp.service
systemctl enable --now pop-before-smtp.service`);
  await machine.readMail(ALICE);
  await installed(machine);
  await follow(machine, { page: "docs/sqlite.md" });
  const page = "docs/from-pop-before-smtp.md";
  const read = await follow(machine, {
    page,
    below: ["1. Install and configure", "2. Read the log"],
  });
  assert.match(read, /^192\.0\.2\.10 .*bob@example\.org/m);
  await follow(machine, { page: "docs/daemon.md", below: ["Under systemd"] });
  await machine.shell("postconf -X smtpd_relay_restrictions");
  await follow(machine, { page: "docs/postfix.md", below: ["The policy service"] });
  await relays(machine, ALICE);
  const left = await follow(machine, { page, below: ["5. Remove pop-before-smtp"] });
  assert.doesNotMatch(left, /pop-before-smtp/);
  await machine.readMail(BOB);
  await relays(machine, BOB);
  await follow(machine, { page: "docs/daemon.md", below: ["Check, reload and stop"] });

  const logs = "docs/mail-log.md";
  await follow(machine, { page: logs, below: ["With the daemon"] });
  // now nothing but the log tells of logins
  await machine.shell(`rm /etc/dovecot/conf.d/99-popbsmtp.conf
doveadm reload
systemctl disable --now popbsmtp.service`);
  const below = ["Without the daemon"];
  await follow(machine, { page: logs, below, blocks: ["[Unit]", "systemctl daemon-reload"] });
  await machine.readMail(CAROL, "carol");
  await waitUntil(
    "the log to tell of the login",
    async () => {
      return /^192\.0\.2\.12 .*carol/m.test(await listed(machine));
    },
    PATIENCE,
  );
  await machine.shell("systemctl disable --now popbsmtp-watch.service");
  await program(
    machine,
    "/usr/local/bin/journalctl",
    // there is no journal here; a line as it would print it
    "sed -n 's/ mail dovecot: / mail dovecot[9]: /p' /var/log/mail.log",
  );
  await follow(machine, { page: logs, below, blocks: ["printf", "journalctl"] });
  await fromCron(machine, "popbsmtp-watch");
  await follow(machine, { page: logs, below: ["Rotation, restarts and old logs"] });
  await follow(machine, {
    page: "docs/operations.md",
    below: ["Removal"],
    blocks: ["rm -f /etc/dovecot", "postconf -X", "systemctl disable", "rm -f /etc/cron.d"],
  });
  await assertGone(machine);
});

/** Runs what a file for cron would run. */
async function fromCron(machine: Machine, name: string): Promise<void> {
  await machine.shell(`PATH=$(sed -n 's/^PATH=//p' /etc/cron.d/${name})
line=$(sed -n 's/^[0-9*]* [*] [*] [*] [*] root //p' /etc/cron.d/${name})
[[ -n $line ]]
sh -c "$line"`);
}

test("without a daemon: the wrapper under Dovecot 2, Courier and tcpserver; then relay-ctrl's directory", async () => {
  await using machine = await startMachine();
  await installed(machine);
  await follow(machine, { page: "docs/sqlite.md" });
  const page = "docs/without-a-daemon.md";
  await follow(machine, { page, below: ["Dovecot 2", "Dovecot 1"] });
  await follow(machine, { page: "docs/postfix.md", below: ["The map"] }, (text) =>
    text.replaceAll("pgsql:", "sqlite:"),
  );
  await follow(machine, { page, below: ["3. Purge from cron"] });
  await assertRefused(machine, ALICE);
  await machine.readMail(ALICE);
  await relays(machine, ALICE);
  const checked = await follow(machine, { page, below: ["4. Check"] });
  assert.match(checked, /^192\.0\.2\.10 .*bob@example\.org/m);
  await fromCron(machine, "popbsmtp");

  // the programs of Courier and qmail, as far as this chain sees them
  await program(machine, "/usr/bin/imapd", 'echo "imapd $*"');
  await program(machine, "/usr/local/bin/qmail-popup", 'shift\nUSER=dave exec "$@"');
  await program(machine, "/usr/local/bin/checkpassword", 'exec "$@"');
  await program(machine, "/var/qmail/bin/qmail-pop3d", 'echo "+OK $*"');
  await program(machine, "/var/qmail/bin/qmail-smtpd", 'echo "220 ${RELAYCLIENT-none}"');
  await follow(machine, { page, below: ["Courier"] });
  const courier = await machine.shell(
    `TCPREMOTEIP=${BOB} AUTHENTICATED=bob /usr/local/lib/popbsmtp/courier-imapd Maildir`,
  );
  assert.equal(courier, "imapd Maildir\n");
  await machine.shell("doveadm stop; postfix stop; useradd --system qmaild");
  await follow(machine, { page, below: ["tcpserver"] }, inBackground);
  assert.equal(await answerAt(machine, 110, CAROL), "+OK Maildir\n");
  await follow(
    machine,
    {
      page: "docs/other-mail-servers.md",
      below: ["qmail-smtpd and similar servers"],
      blocks: ["tcpserver"],
    },
    inBackground,
  );
  await machine.shell("popbsmtp drain");
  const list = await listed(machine);
  assert.match(list, /^192\.0\.2\.11 .*bob .*imap/m);
  assert.match(list, /^192\.0\.2\.12 .*dave .*pop3/m);
  await follow(machine, { page, below: ["Chains that run as the mail user"] });
  await fromCron(machine, "popbsmtp-drain");

  await machine.shell(`mkdir -p -m 700 /var/spool/relay-ctrl
mkdir -m 777 /var/spool/relay-ctrl/allow
printf 'USER=erin\\0' >/var/spool/relay-ctrl/allow/192.0.2.11`);
  const relayCtrl = "docs/from-relay-ctrl.md";
  const known = await follow(machine, {
    page: relayCtrl,
    below: ["1. Install and configure", "4. Replace relay-ctrl-age"],
  });
  assert.match(known, /^192\.0\.2\.11 .*erin/m);
  await machine.shell(`setsid popbsmtp serve </dev/null >/var/log/serve.log 2>&1 &
until grep -q ' ready ' /var/log/serve.log; do sleep 0.05; done`);
  assert.equal(await answerAt(machine, 25, BOB), "220 \n");
  assert.equal(await answerAt(machine, 25, CAROL), "220 none\n");
  const [service] = blocksOf({ page: relayCtrl, below: ["2. Replace relay-ctrl-allow"] });
  assert.ok(service !== undefined);
  await machine.write("/etc/dovecot/conf.d/99-popbsmtp.conf", service.text);
  assert.match(await machine.shell("doveconf -n"), /executable = .*--export TCPREMOTEIP/);
  followed.add(service);
  await follow(machine, { page: relayCtrl, below: ["6. Close the directory"] });
  assert.equal(await answerAt(machine, 25, BOB), "220 \n");
});

async function program(machine: Machine, file: string, lines: string): Promise<void> {
  await machine.write(file, `#!/bin/sh\n${lines}\n`);
  await machine.shell(`chmod 755 ${file}`);
}

/** A server that stays in the foreground, as it is started from a script. */
function inBackground(text: string): string {
  return `{ ${text.trimEnd()}; } </dev/null >/var/log/server.log 2>&1 &\n`;
}

/** What a server at a port says to a client that says nothing. */
async function answerAt(machine: Machine, port: number, from: Client): Promise<string> {
  return await machine.shell(
    `for ((n = 0; n < 100; n++)); do
  curl -sS -m 10 --interface ${from} telnet://127.0.0.1:${port} </dev/null && exit
  sleep 0.1
done
exit 1`,
  );
}

/** Blocks that other tests run as they stand. */
const ELSEWHERE = [
  { page: "README.md", below: ["Try it"], by: "demo.test.ts" },
  { page: "docs/other-mail-servers.md", below: ["Exim", "sendmail"], by: "other-mtas.test.ts" },
  { page: "docs/from-wiki-scripts.md", by: "from-wiki-scripts.test.ts" },
];

test("every block of the documentation has been run", () => {
  const known = new Set(followed);
  // some stand on two pages
  const texts = new Set([...known].map(({ text }) => text));
  for (const { by, ...part } of ELSEWHERE) {
    assert.ok(existsSync(new URL(by, import.meta.url)), by);
    for (const block of blocksOf(part)) known.add(block);
  }
  // docs.test.ts loads each configuration by itself; text is a drawing
  const unknown = BLOCKS.filter(
    (block) =>
      !known.has(block) && !texts.has(block.text) && !["toml", "text"].includes(block.language),
  );
  assert.deepEqual(
    unknown.map(({ page, heading, text }) => `${page}, ${heading}: ${text}`),
    [],
  );
});
