import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Endpoint, ServeConfig } from "../../../../src/config/config.ts";
import { descriptorShare } from "../../../../src/daemon/sockets/descriptors.ts";
import {
  Listeners,
  type ListenersOptions,
  type OpenOptions,
} from "../../../../src/daemon/sockets/listeners.ts";
import type { Log } from "../../../../src/daemon/log/log.ts";
import { account } from "../../../support/accounts.ts";
import { freePort } from "../../../support/free-port.ts";
import { serveWith } from "../../../support/config.ts";
import { run, runOk } from "../../../support/run.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const silent = () => undefined;
const log: Log = { debug: silent, info: silent, warning: silent, error: silent };
const alone = { owner: undefined, patience: 0, mayMiss: () => false };

/** Listeners that serve nobody yet; closed at dispose. */
async function waiting(
  changes: Partial<ServeConfig>,
  options: Partial<OpenOptions & ListenersOptions> = {},
) {
  const listeners = new Listeners({ log, ...options });
  await listeners.open(serveWith(changes), { ...alone, ...options });
  return Object.assign(listeners, { [Symbol.asyncDispose]: () => listeners.close(1_000) });
}

/** The same, but that they say at each connection what the socket is for. */
async function open(
  changes: Partial<ServeConfig>,
  options: Partial<OpenOptions & ListenersOptions> = {},
) {
  const listeners = await waiting(changes, options);
  listeners.start((socket, role) => socket.end(`${role}\n`));
  return listeners;
}

/** What somebody who connects is told. */
async function ask(endpoint: Endpoint): Promise<string> {
  let text = "";
  for await (const chunk of connect({ ...endpoint }).setEncoding("utf8")) text += chunk;
  return text;
}

/** A socket whose server was killed: it is there, and nothing answers. */
async function stale(path: string): Promise<void> {
  const program =
    "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))";
  assert.equal((await run(process.execPath, ["-e", program, path])).signal, "SIGKILL");
  assert.ok(lstatSync(path).isSocket());
}

function group(name: string): number {
  const [, gid] =
    new RegExp(`^${name}:[^:]*:(\\d+):`, "m").exec(readFileSync("/etc/group", "utf8")) ?? [];
  return Number(gid);
}

function permissions(path: string): number {
  return lstatSync(path).mode & 0o777;
}

describe("the sockets of [serve]", () => {
  it("are created for each role, on paths and ports", async () => {
    await using directory = temporaryDirectory();
    const imap = { path: join(directory.path, "imap") };
    const pop3 = { path: join(directory.path, "pop3") };
    const [four, six] = [
      { host: "127.0.0.1", port: await freePort() },
      { host: "::1", port: await freePort() },
    ];
    const metrics = { host: "127.0.0.1", port: await freePort() };
    await using listeners = await open({ imap, pop3, policy: [four, six], metrics });
    const answers = await Promise.all([imap, pop3, four, six, metrics].map(ask));
    assert.deepEqual(answers, ["imap\n", "pop3\n", "policy\n", "policy\n", "metrics\n"]);
    assert.deepEqual(
      listeners.list.map(({ where }) => where),
      [
        imap.path,
        pop3.path,
        `127.0.0.1:${four.port}`,
        `[::1]:${six.port}`,
        `127.0.0.1:${metrics.port}`,
      ],
    );
  });

  it("admit only the owner for logins, and all users for lookups", async () => {
    await using directory = temporaryDirectory();
    const path = (name: string) => ({ path: join(directory.path, name) });
    await using listeners = await open({
      imap: path("imap"),
      pop3: path("pop3"),
      policy: [path("policy")],
      socketmap: [path("socketmap")],
    });
    const modes = listeners.list.map(({ where }) => permissions(where));
    assert.deepEqual(modes, [0o600, 0o600, 0o666, 0o666]);
  });

  it("admit the group of Dovecot's mail processes for the plugin's logins", async () => {
    await using directory = temporaryDirectory({ mode: 0o755 });
    const dict = { path: join(directory.path, "run", "dict") };
    const owner = account("nobody");
    {
      await using _ = await open({ dict }, { owner });
      const { uid, gid } = lstatSync(dict.path);
      assert.deepEqual([uid, gid], [owner.uid, group("dovecot")]);
      assert.equal(permissions(dict.path), 0o660);
    }
    {
      await using _ = await open({ dict, dictGroup: "mail" }, { owner });
      assert.equal(lstatSync(dict.path).gid, group("mail"));
    }
    await assert.rejects(open({ dict, dictGroup: "no-such-group" }, { owner }), {
      message: /serve\.dict-group: there is no group no-such-group; use /,
    });
    assert.equal(process.getegid?.(), 0);
  });

  it("are not created if they could not be removed and Dovecot would wait for them", async () => {
    await using directory = temporaryDirectory({ mode: 0o755 });
    const dict = { path: join(directory.path, "dict") };
    const owner = account("nobody");
    await assert.rejects(open({ dict }, { owner }), {
      message: /^serve\.dict: .*: its directory must belong to the daemon's user: /,
    });
    assert.ok(!existsSync(dict.path));
    chownSync(directory.path, owner.uid, owner.gid);
    {
      await using _ = await open({ dict }, { owner });
      assert.ok(existsSync(dict.path));
    }
    assert.ok(!existsSync(dict.path));
  });

  it("may be in a missing directory, which all users can search, whatever the umask", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "run", "popbsmtp", "policy");
    const umask = process.umask(0o077);
    try {
      await using _ = await open({ policy: [{ path }] });
      assert.equal(permissions(join(path, "..")), 0o755);
      assert.equal(process.umask(), 0o077);
    } finally {
      process.umask(umask);
    }
  });

  it("belong to the configured user, as does a directory created for them", async () => {
    await using directory = temporaryDirectory({ mode: 0o755 });
    const path = join(directory.path, "run", "policy");
    const owner = account("nobody");
    await using _ = await open({ policy: [{ path }] }, { owner });
    for (const made of [path, join(path, "..")]) {
      const { uid, gid } = lstatSync(made);
      assert.deepEqual({ uid, gid }, { uid: owner.uid, gid: owner.gid });
    }
  });

  it("replace those of a daemon that was killed", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    await stale(path);
    await using _ = await open({ policy: [{ path }] });
    assert.equal(await ask({ path }), "policy\n");
  });

  it("do not replace those of a daemon that answers", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    await using _ = await open({ policy: [{ path }] });
    await assert.rejects(open({ policy: [{ path }] }), {
      exitStatus: 73,
      message: `serve.policy: ${path}: another popbsmtp serve listens there (stop it first)`,
    });
    assert.equal(await ask({ path }), "policy\n");
  });

  it("wait for a daemon that is stopping, on request", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    const metrics = { host: "127.0.0.1", port: await freePort() };
    const old = await open({ policy: [{ path }], metrics });
    const opening = open({ policy: [{ path }], metrics }, { patience: 30_000 });
    // it has asked at the old one's socket, and been answered
    await new Promise<void>((resolve) => old.start((socket) => resolve(void socket.end())));
    await old.close(1_000);
    await using _ = await opening;
    assert.equal(await ask({ path }), "policy\n");
    assert.equal(await ask(metrics), "metrics\n");
  });

  it("do not replace other files", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    writeFileSync(path, "precious");
    await assert.rejects(open({ policy: [{ path }] }), {
      exitStatus: 73,
      message: `serve.policy: ${path}: exists and is not a socket; move it away`,
    });
    assert.ok(lstatSync(path).isFile());
  });

  it("are all removed if one cannot be created", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    const port = await freePort();
    const other = createServer().listen(port, "127.0.0.1");
    await once(other, "listening");
    await assert.rejects(open({ policy: [{ path }], metrics: { host: "127.0.0.1", port } }), {
      exitStatus: 73,
      message: `serve.metrics: 127.0.0.1:${port}: another process listens there; stop it or name another`,
    });
    assert.equal(existsSync(path), false);
    other.close();
  });

  it("report the user that cannot create them", async () => {
    await using directory = temporaryDirectory({ mode: 0o755 });
    const path = join(directory.path, "policy");
    const module = import.meta.resolve("../../../../src/daemon/sockets/listeners.ts");
    const { uid, gid } = account("nobody");
    const program = `
      import { Listeners } from ${JSON.stringify(module)};
      process.setgid(${gid});
      process.setuid(${uid});
      const serve = { policy: [{ path: ${JSON.stringify(path)} }] };
      const options = { patience: 0, mayMiss: () => false };
      await new Listeners({}).open(serve, options).catch(({ message, exitStatus }) => console.log(exitStatus, message));
    `;
    const said = await runOk(process.execPath, ["--input-type=module", "-e", program]);
    assert.match(said, /^77 .*policy: cannot listen there: .*EACCES/);
  });

  it("are gone after close, and can be created again", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    const listeners = await open({ policy: [{ path }] });
    await listeners.close(1_000);
    assert.equal(existsSync(path), false);
    await using _ = await open({ policy: [{ path }] });
  });

  it("are left alone by close if another daemon has replaced them", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    const listeners = await open({ policy: [{ path }] });
    rmSync(path);
    await using _ = await open({ policy: [{ path }] });
    await listeners.close(1_000);
    assert.equal(await ask({ path }), "policy\n");
  });

  it("may have lost their directory by the time of close", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "run", "policy");
    const listeners = await open({ policy: [{ path }] });
    rmSync(join(path, ".."), { recursive: true });
    await listeners.close(1_000);
  });
});

describe("connections", () => {
  it("wait with their data until the daemon starts", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "policy");
    await using listeners = await waiting({ policy: [{ path }] });
    const early = connect(path);
    early.write("early");
    await once(early, "connect");
    const gone = connect(path);
    await once(gone, "connect");
    gone.destroy();
    const { promise, resolve } = Promise.withResolvers<string>();
    listeners.start((socket) => socket.once("data", (chunk) => resolve(chunk.toString())));
    assert.equal(await promise, "early");
    early.destroy();
    await listeners.close(1_000);
  });

  it("may be half-open: a client that has closed its side still reads", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "socketmap");
    await using listeners = await waiting({ socketmap: [{ path }] });
    listeners.start((socket) => {
      socket.resume().on("end", () => setImmediate(() => socket.end("late")));
    });
    const client = connect({ path, allowHalfOpen: true }).end();
    const [answer] = await once(client, "data");
    assert.equal(String(answer), "late");
    await listeners.close(1_000);
  });

  it("are counted if they are logins", async () => {
    await using directory = temporaryDirectory();
    const imap = { path: join(directory.path, "imap") };
    const policy = { path: join(directory.path, "policy") };
    const counts: number[] = [];
    const onLogins = (count: number) => counts.push(count);
    await using listeners = await waiting({ imap, policy: [policy] }, { onLogins });
    listeners.start((socket) => socket.resume().on("end", () => socket.end()));
    const clients: Socket[] = [connect(imap.path), connect(imap.path), connect(policy.path)];
    await waitUntil("two logins to be counted", () => counts.at(-1) === 2);
    for (const client of clients) client.end();
    await waitUntil("both to be over", () => counts.at(-1) === 0);
    assert.deepEqual(counts, [1, 2, 1, 0]);
    await listeners.close(1_000);
  });

  for (const role of ["policy", "metrics"] as const) {
    it(`to ${role}: one more than the limit closes the one that has waited longest`, async () => {
      await using directory = temporaryDirectory();
      const path = join(directory.path, role);
      const listeners = await open(
        role === "policy" ? { policy: [{ path }] } : { metrics: { path } },
      );
      listeners.start((socket) => socket.write("hello"));
      const most = descriptorShare()[role === "policy" ? "asking" : "metrics"];
      const clients: Socket[] = [];
      const connected = async () => {
        const client = connect(path);
        clients.push(client);
        await once(client, "data");
        return client;
      };
      const first = await connected();
      const second = await connected();
      while (clients.length < most) await connected();
      assert.equal(first.closed, false);
      const closed = once(first, "close");
      const last = await connected();
      await closed;
      assert.deepEqual([second.closed, last.closed], [false, false]);
      await listeners.close(1_000);
      for (const client of clients) client.destroy();
    });
  }

  it("that keep arriving do not prevent a close", async () => {
    await using directory = temporaryDirectory();
    const imap = { path: join(directory.path, "imap") };
    const policy = { path: join(directory.path, "policy") };
    const listeners = await open({ imap, policy: [policy] });
    let flooding = true;
    const flood = () => {
      if (!flooding) return;
      for (const { path } of [imap, policy])
        connect(path)
          .on("error", () => undefined)
          .resume();
      setImmediate(flood);
    };
    flood();
    await ask(imap);
    await listeners.close(100);
    flooding = false;
    assert.equal(existsSync(imap.path), false);
  });

  it("that wait to be accepted are let in before close", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "imap");
    const listeners = await open({ imap: { path } });
    const clients = Array.from({ length: 100 }, () => ask({ path }));
    await listeners.close(60_000);
    assert.deepEqual(
      await Promise.all(clients),
      Array.from(clients, () => "imap\n"),
    );
  });
});

describe("a reload", () => {
  it("keeps unchanged sockets, creates new ones and closes the others", async () => {
    await using directory = temporaryDirectory();
    const path = (name: string) => ({ path: join(directory.path, name) });
    const [stays, goes, comes] = [path("stays"), path("goes"), path("comes")];
    await using listeners = await open({ imap: stays, policy: [goes] });
    const { ino } = lstatSync(stays.path);
    await listeners.change(serveWith({ imap: stays, policy: [comes] }));
    assert.equal(lstatSync(stays.path).ino, ino);
    assert.equal(existsSync(goes.path), false);
    assert.deepEqual(await Promise.all([stays, comes].map(ask)), ["imap\n", "policy\n"]);
  });

  it("that fails leaves everything as it was", async () => {
    await using directory = temporaryDirectory();
    const path = (name: string) => ({ path: join(directory.path, name) });
    const [old, fine] = [path("old"), path("fine")];
    mkdirSync(join(directory.path, "directory"));
    await using listeners = await open({ policy: [old] });
    await assert.rejects(listeners.change(serveWith({ policy: [fine, path("directory")] })));
    assert.equal(existsSync(fine.path), false);
    assert.equal(await ask(old), "policy\n");
    assert.deepEqual(listeners.list, [{ role: "policy", where: old.path }]);
  });
});

it("a handed-over socket must have a role in its name", async () => {
  await assert.rejects(new Listeners({ log }).take({ name: "popbsmtp-smtp", fd: 7 }), {
    exitStatus: 78,
    message:
      "popbsmtp-smtp: the name of this socket does not say what it is for; name it popbsmtp-dict, or one of: dict, imap, pop3, policy, socketmap, metrics, relay-ctrl",
  });
});
