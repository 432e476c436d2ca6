/**
 * Dovecot's master starts a daemon that finds something wrong: logins go on, and so does everything
 * that works.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { freePort } from "../support/free-port.ts";
import { install, type Installation } from "../support/installation.ts";
import { run, runOk } from "../support/run.ts";
import {
  askPolicy,
  configureServe,
  startServe,
  type Place,
  type ServeSockets,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/** It is tried again every ten seconds. */
const SOON = { timeout: 60_000, interval: 100 };

interface Fault {
  /** What is wrong before the daemon starts. Returns what puts it right, where that can be done. */
  begin(box: Installation, sockets: ServeSockets): Promise<Mend | void> | Mend | void;
  /** What the log says. */
  readonly says: RegExp;
  /** Whether logins are recorded meanwhile. Default true. */
  readonly recorded?: boolean;
  /** Whether the policy service answers at its path meanwhile. Default true. */
  readonly answers?: boolean;
}

/** Puts it right. Afterwards the policy service answers at this path or port. */
type Mend = () => Promise<Place>;

function setting(box: Installation, find: RegExp, line: string): void {
  const text = readFileSync(box.config, "utf8");
  const changed = text.replace(find, line);
  assert.notEqual(changed, text);
  writeFileSync(box.config, changed);
}

const FAULTS: Readonly<Record<string, Fault>> = {
  "a port of policy's that somebody else has": {
    begin: async (box) => {
      const port = await freePort();
      setting(box, /^policy = .*/m, `policy = "127.0.0.1:${port}"`);
      const other = createServer().listen(port, "127.0.0.1");
      await once(other, "listening");
      return async () => {
        other.close();
        await once(other, "close");
        return { host: "127.0.0.1", port };
      };
    },
    says: /problem reason="serve\.policy: 127\.0\.0\.1:\d+: another process listens there/,
    answers: false,
  },
  "a port below 1024 that somebody else has": {
    begin: async (box) => {
      const host = "127.83.1.2";
      setting(box, /^policy = .*/m, `policy = "${host}:783"`);
      const other = createServer().listen(783, host);
      await once(other, "listening");
      return async () => {
        other.close();
        await once(other, "close");
        return { host, port: 783 };
      };
    },
    says: /problem reason="serve\.policy: 127\.83\.1\.2:783: another process listens there/,
    answers: false,
  },
  "a file in a socket's place": {
    begin: (_, { policy }) => {
      writeFileSync(policy, "precious");
      return async () => {
        assert.equal(readFileSync(policy, "utf8"), "precious");
        rmSync(policy);
        return policy;
      };
    },
    says: /problem reason="serve\.policy: .*: exists and is not a socket; move it away"/,
    answers: false,
  },
  "a directory in which no socket can be made": {
    begin: (box) => setting(box, /^policy = .*/m, 'policy = "/proc/popbsmtp/policy"'),
    says: /problem reason="serve\.policy: \/proc\/popbsmtp\/policy: cannot listen there: /,
    answers: false,
  },
  "a port of metrics' that is another host's": {
    begin: (box) => appendFileSync(box.config, 'metrics = "192.0.2.1:9154"\n'),
    says: /problem reason="serve\.metrics: 192\.0\.2\.1:9154: cannot listen there: /,
  },
  "a user that does not exist": {
    begin: (box) => setting(box, /^user = .*/m, 'user = "nosuch"'),
    says: /problem reason="user: there is no user nosuch; create it/,
  },
  "a password file that is not there": {
    begin: (box, { policy }) => {
      const good = readFileSync(box.config, "utf8");
      setting(
        box,
        /^\[store\]\n(?:.+\n)+/m,
        `[store]\ndriver = "pgsql"\npassword-file = "${box.directory}/password"\n`,
      );
      return async () => {
        writeFileSync(box.config, good);
        return policy;
      };
    },
    says: /not-recording reason=".*password-file: /,
    recorded: false,
    answers: false,
  },
  "a spool that is not there": {
    begin: (box, { policy }) => {
      renameSync(box.spool, `${box.spool}.away`);
      return async () => {
        renameSync(`${box.spool}.away`, box.spool);
        return policy;
      };
    },
    says: /problem reason="spool: .*: does not exist; create it/,
  },
};

describe("a daemon that Dovecot starts refuses nobody's login, with", { concurrency: 4 }, () => {
  for (const [name, fault] of Object.entries(FAULTS)) {
    it(name, async () => {
      await using box = await install("sqlite");
      const sockets = configureServe(box, 'deadline = "30s"');
      const service = await box.popbsmtp("print", "dovecot", "post-login");
      const mend = await fault.begin(box, sockets);
      await using dovecot = await startDovecot({ config: service });
      for (const protocol of ["imap", "pop3"] as const) {
        using client = await dovecot[protocol]({ from: "127.0.0.5" });
        await client.login(`before ${protocol}`, dovecot.password);
      }
      await waitUntil("the log to say what is wrong", () => fault.says.test(dovecot.log()));
      if (fault.answers !== false) assert.equal(await askPolicy(sockets.policy, "127.0.0.5"), "OK");
      else if (fault.recorded !== false) {
        assert.ok(existsSync(sockets.socketmap), "the others listen");
      }
      const recorded = fault.recorded === false ? [] : ["before imap", "before pop3"];
      assert.deepEqual(users(box), recorded);
      await assertNotRoot(dovecot);
      if (mend === undefined) return;
      const place = await mend();
      await waitUntil(
        "the policy service",
        async () => /^(?:OK|DUNNO)$/.test(await askPolicy(place, "127.0.0.7")),
        SOON,
      );
      using client = await dovecot.imap({ from: "127.0.0.6" });
      await client.login("after", dovecot.password);
      assert.deepEqual(users(box), ["after", ...recorded]);
      assert.equal(await askPolicy(place, "127.0.0.6"), "OK");
      assert.doesNotMatch(dovecot.log(), /popbsmtp.*(?:Fatal|internal error)/);
    });
  }

  it("another daemon at work at its spool", async () => {
    await using box = await install("sqlite");
    const good = readFileSync(box.config, "utf8");
    const serve = await startServe(box);
    writeFileSync(box.config, `${good}\n[serve]\npolicy = "${box.directory}/run/policy2"\n`);
    const service = await box.popbsmtp("print", "dovecot", "post-login");
    await using dovecot = await startDovecot({ config: service });
    using client = await dovecot.imap({ from: "127.0.0.5" });
    await client.login("bob", dovecot.password);
    assert.deepEqual(users(box), ["bob"]);
    const said = `another popbsmtp serve (process ${serve.pid}) is using it; stop that daemon first`;
    await waitUntil("the log to say so", () => dovecot.log().includes(said), SOON);
    const problems = join(box.spool, ".problems");
    assert.ok(readFileSync(problems, "utf8").includes(said));
    assert.equal(await serve.stop(), 0);
    await waitUntil("that to be over", () => !existsSync(problems), SOON);
    await serve[Symbol.asyncDispose]();
  });

  it("a configuration that is wrong in the eyes of root, and that others cannot read", async () => {
    await using box = await install("sqlite");
    configureServe(box, 'deadline = "30s"');
    const service = await box.popbsmtp("print", "dovecot", "post-login");
    const good = readFileSync(box.config, "utf8");
    rmSync(box.config);
    writeFileSync(box.config, 'lifetime = "soon"\n', { mode: 0o600 });
    await using dovecot = await startDovecot({ config: service });
    const logIn = async (user: string) => {
      using client = await dovecot.imap({ from: "127.0.0.5" });
      await client.login(user, dovecot.password);
    };
    await logIn("before");
    await assertNotRoot(dovecot);
    writeFileSync(box.config, good, { mode: 0o600 });
    const isRecorded = async () => {
      await logIn("after");
      return users(box).includes("after");
    };
    await waitUntil("a login to be recorded", isRecorded, SOON);
  });
});

it("a daemon with login sockets of its own goes on without another socket, and makes it later", async () => {
  await using box = await install("sqlite");
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  await using serve = await startServe(box, `metrics = "127.0.0.1:${port}"`);
  assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "DUNNO");
  assert.match(serve.log(), /error problem reason="serve\.metrics: .*another process listens/);
  // the same configuration again is none that does not work
  assert.match(await serve.reload(), / info reloaded$/);
  other.close();
  const isMade = () => serve.log().includes(`info listening listens="metrics=127.0.0.1:${port}"`);
  await waitUntil("the port to be taken", isMade, SOON);
});

it("a daemon without a login socket ends where it cannot listen everywhere", async () => {
  await using box = await install("sqlite");
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  appendFileSync(
    box.config,
    `\n[serve]\ndict = false\nimap = false\npop3 = false\npolicy = "127.0.0.1:${port}"\nsocketmap = false\n`,
  );
  const { status, stderr } = await run(box.program, ["--config", box.config, "serve"]);
  assert.equal(
    stderr.toString(),
    `popbsmtp: serve.policy: 127.0.0.1:${port}: another process listens there; stop it or name another\n`,
  );
  assert.equal(status, 73);
  other.close();
});

/** Who is in the store, whatever the configuration says. */
function users({ database }: Installation): readonly unknown[] {
  using store = new DatabaseSync(database, { readOnly: true, timeout: 5_000 });
  const rows = store.prepare("SELECT user FROM popbsmtp ORDER BY user").all();
  return rows.map(({ user }) => user);
}

async function assertNotRoot(dovecot: Dovecot): Promise<void> {
  await waitUntil("the daemon to be root no more", async () => {
    const status = readFileSync(`/proc/${await daemon(dovecot)}/status`, "utf8");
    return /^Uid:(?:\t[1-9]\d*){4}$/m.test(status);
  });
}

/** The process that Dovecot's master has started. */
async function daemon(dovecot: Dovecot): Promise<number> {
  const configuration = join(dovecot.directory, "dovecot.conf");
  const options = ["-c", configuration, "-f", "tab", "process", "status", "popbsmtp"];
  const [header = "", line = ""] = (await runOk("doveadm", options)).split("\n");
  return Number(line.split("\t")[header.split("\t").indexOf("pid")]);
}
