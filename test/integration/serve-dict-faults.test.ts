/**
 * Logins that Dovecot's last_login plugin tells of, whatever happens to the daemon: everybody is
 * let in, and what was recorded arrives.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rowOf, startDict, type DictSite } from "../support/dict.ts";
import { install, type Installation } from "../support/installation.ts";
import { startLogins, type Logins } from "../support/logins.ts";
import { readMail } from "../support/mail-session.ts";
import { runOk } from "../support/run.ts";
import { askPolicy } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { soakTest } from "../support/soak.ts";

const CLIENTS = 12;
const KILLS = 5;

const LONG = { timeout: 90_000 };

test(`${CLIENTS} clients while the daemon is killed ${KILLS} times: nobody is refused, and Dovecot's log has whoever is not recorded`, async (t) => {
  await using box = await install("pgsql");
  await using site = await startDict(box);
  await using logins = startLogins(site.dovecot, CLIENTS);
  for (let kills = 0; kills < KILLS; kills++) {
    await more(logins, 50);
    await kill(site);
  }
  await logins.stop();
  assert.deepEqual(logins.refused, []);
  const unconfirmed = (user: string) =>
    new RegExp(`\\(${user}\\)<.*last_login_dict: Write was unconfirmed`).test(site.dovecot.log());
  let rows = await box.rows();
  await waitUntil(
    "everybody else to be in the store",
    async () => {
      rows = await box.rows();
      const users = new Set(rows.map(({ user }) => user));
      return logins.made.every(({ user }) => users.has(user) || unconfirmed(user));
    },
    LONG,
  );
  // what is in hand when it is killed is at most what one turn of its event loop takes out of the
  // socket
  t.diagnostic(`${rows.length} of ${logins.made.length} logins are recorded`);
  assert.ok(logins.made.length - rows.length <= 5 * KILLS);
  assert.deepEqual([...new Set(rows.map((row) => row.logins))], [1]);
  for (const { user, from } of logins.made) {
    const row = rows.find((other) => other.user === user);
    if (row !== undefined) assert.equal(row.address, from);
  }
});

soakTest(
  `${CLIENTS} clients while the daemon is down, with Dovecot's log watched as well: nobody is refused, and everybody is recorded once`,
  async () => {
    await using box = await install("pgsql");
    const log = join(box.directory, "dovecot.log");
    writeFileSync(log, "", { mode: 0o644 });
    chmodSync(log, 0o644);
    await using site = await startDict(box, {
      lines: `[watch]\nfile = "${log}"`,
      edit: (printed) => `info_log_path = ${log}\n${printed}`,
    });
    await using logins = startLogins(site.dovecot, CLIENTS);
    await more(logins, 50);
    await nodeAway(site);
    await more(logins, 300);
    nodeBack(site);
    await waitUntil("another daemon", () => site.daemon() !== undefined, LONG);
    await more(logins, 50);
    await logins.stop();
    assert.deepEqual(logins.refused, []);
    await waitUntil(
      "everybody to be in the store",
      async () => (await box.rows()).length === logins.made.length,
      LONG,
    );
    // who was in hand when it was killed may count twice: the next daemon finds the login in the
    // log
    const twice = (await box.rows()).filter((row) => row.logins !== 1);
    assert.ok(twice.length <= CLIENTS, twice.map(({ user }) => user).join(" "));
  },
);

/** What goes wrong, and how it is put right again. */
interface Fault {
  readonly begin: (site: DictSite) => void | Promise<void>;
  readonly end: (site: DictSite) => void | Promise<void>;
  /** Whether logins are recorded all the same, if only later. */
  readonly isRecorded: boolean;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  stopped: { begin: terminate, end: () => undefined, isRecorded: true },
  hung: {
    begin: ({ daemon }) => signal(daemon(), "SIGSTOP"),
    end: ({ daemon }) => signal(daemon(), "SIGCONT"),
    isRecorded: true,
  },
  "without Node": { begin: nodeAway, end: nodeBack, isRecorded: false },
  "without its socket": {
    begin: ({ dovecot }) => rmSync(join(dovecot.directory, "run", "popbsmtp-dict")),
    end: async ({ dovecot }) => {
      // Dovecot makes its sockets when it starts, or learns of a new one
      const conf = join(dovecot.directory, "dovecot.conf");
      const text = readFileSync(conf, "utf8");
      for (const each of [text.replaceAll("popbsmtp-dict", "popbsmtp-other-dict"), text]) {
        writeFileSync(conf, each);
        await reload(dovecot.directory);
      }
      await waitUntil("the socket", () =>
        existsSync(join(dovecot.directory, "run", "popbsmtp-dict")),
      );
    },
    isRecorded: false,
  },
  "with a broken configuration": {
    begin: async (site) => {
      const { config } = site.box;
      writeFileSync(config, `lifetime = "soon"\n${readFileSync(config, "utf8")}`);
      const killed = site.daemon();
      signal(killed, "SIGKILL");
      await waitUntil(
        "the daemon to say so",
        () => /Error: .*lifetime/.test(site.dovecot.log()),
        LONG,
      );
    },
    end: async (site) => {
      const { config } = site.box;
      writeFileSync(config, readFileSync(config, "utf8").replace('lifetime = "soon"\n', ""));
      await waitUntil("the daemon to be at work", () => site.daemon() !== undefined, LONG);
    },
    isRecorded: false,
  },
  "without its spool": {
    begin: ({ box }) => renameSync(box.spool, `${box.spool}.away`),
    end: ({ box }) => renameSync(`${box.spool}.away`, box.spool),
    isRecorded: true,
  },
  "with its store away": {
    begin: ({ box }) => box.server?.stop(),
    end: ({ box }) => box.server?.start(),
    isRecorded: true,
  },
};

for (const [state, { begin, end, isRecorded }] of Object.entries(FAULTS)) {
  test(`the daemon ${state}: everybody is let in, and it goes on afterwards`, async () => {
    await using box = await install("pgsql");
    await using site = await startDict(box);
    await readMail(site.dovecot, "imap", "before", "127.0.0.4");
    await rowOf(box, "before");
    await begin(site);
    const users = ["a", "b", "c", "d", "e", "f"];
    for (const [at, user] of users.entries()) {
      await readMail(site.dovecot, at % 2 === 0 ? "imap" : "pop3", user, "127.0.0.5");
    }
    await end(site);
    if (isRecorded) for (const user of users) assert.equal((await rowOf(box, user)).logins, 1);
    await waitUntil(
      "a login to be recorded again",
      async () => {
        await readMail(site.dovecot, "imap", "after", "127.0.0.6");
        return (await askPolicy(site.policy, "127.0.0.6")) === "OK";
      },
      LONG,
    );
    await rowOf(box, "after");
  });
}

/** So many more logins, or so many that fail. */
async function more(logins: Logins, count: number): Promise<void> {
  const enough = logins.made.length + logins.refused.length + count;
  await waitUntil("logins", () => logins.made.length + logins.refused.length >= enough, LONG);
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  assert.ok(pid !== undefined, "the daemon is not at work");
  process.kill(pid, name);
}

/** Kills the daemon; resolves when Dovecot's master has started another. */
async function kill({ daemon }: DictSite): Promise<void> {
  const killed = daemon();
  signal(killed, "SIGKILL");
  await waitUntil("another daemon", () => ![undefined, killed].includes(daemon()), LONG);
}

/** Ends the daemon as an administrator does; resolves when Dovecot's master has started another. */
async function terminate({ daemon }: DictSite): Promise<void> {
  const ended = daemon();
  signal(ended, "SIGTERM");
  await waitUntil("another daemon", () => ![undefined, ended].includes(daemon()), LONG);
}

function nodeOf({ directory }: Installation): string {
  return join(directory, "bin", "node");
}

/** Node is removed, and the daemon is killed: it cannot be started. */
async function nodeAway({ box, daemon }: DictSite): Promise<void> {
  renameSync(nodeOf(box), `${nodeOf(box)}.away`);
  // or the bash half finds another
  writeFileSync(nodeOf(box), "", { mode: 0o644 });
  signal(daemon(), "SIGKILL");
  await waitUntil("the daemon to be gone", () => daemon() === undefined, LONG);
}

/** Dovecot's master tries again at the next login, a minute later at most. */
function nodeBack({ box }: DictSite): void {
  renameSync(`${nodeOf(box)}.away`, nodeOf(box));
}

async function reload(directory: string): Promise<void> {
  await runOk("doveadm", ["-c", join(directory, "dovecot.conf"), "reload"]);
}
