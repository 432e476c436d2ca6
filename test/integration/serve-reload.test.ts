/** SIGHUP, SIGTERM, and a second daemon, while logins come in. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import { assertRecorded, logIn, startLoad } from "../support/post-login-load.ts";
import { run, type RunResult } from "../support/run.ts";
import {
  askPolicy,
  askSocket,
  postLoginRequest,
  startServe,
  type Serve,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

describe("the daemon, under load", () => {
  const stack = new AsyncDisposableStack();
  let box: Installation;
  let serve: Serve;
  let original: string;

  before(async () => {
    box = stack.use(await install("pgsql"));
    serve = stack.use(await startServe(box));
    original = readFileSync(box.config, "utf8");
  });
  after(() => stack.disposeAsync());

  /** Reloads with a changed configuration, and says what came of it. */
  const reloadWith = async (change: (text: string) => string) => {
    const text = change(original);
    assert.notEqual(text, original);
    writeFileSync(box.config, text);
    return await serve.reload();
  };
  const top = (line: string) => (text: string) => `${line}\n${text}`;
  const other = (text: string) => text.replace(/^database = .*/m, '$&\ntable = "other"');
  /** Back to what it was. */
  const restore = async () => {
    writeFileSync(box.config, original);
    assert.match(await serve.reload(), / info reloaded$/);
  };

  it("reloads again and again, and no login fails or is lost", async () => {
    await using load = startLoad(serve.imap, { every: 3 });
    for (let times = 0; times < 20; times++) {
      const { length } = load.made;
      assert.match(await serve.reload(), / info reloaded$/);
      await waitUntil("logins to go on", () => load.made.length > length + 5);
    }
    await load.stop();
    assert.deepEqual(load.failed, []);
    await waitUntil("the spool to be drained", () => box.waiting().length === 0);
    assertRecorded(load.made, await box.rows());
  });

  describe("keeps its configuration where the new one is wrong, and logs why:", () => {
    afterEach(restore);

    const wrong: Readonly<Record<string, [(text: string) => string, RegExp]>> = {
      "no TOML": [top("lifetime = "), /popbsmtp\.toml: /],
      "a value that is none": [top('lifetime = "soon"'), /popbsmtp\.toml: lifetime: /],
      "a key that there is not": [top('lifetme = "30m"'), /popbsmtp\.toml: lifetme: /],
      "a store that is not there": [
        (text) => text.replace(/^port = .*/m, "port = 9"),
        /127\.0\.0\.1:9\/mail: .*ECONNREFUSED/,
      ],
      "a password that is wrong": [
        (text) => text.replace(/^password = .*/m, 'password = "guessed"'),
        /password authentication failed/,
      ],
      "a table that is not there": [other, /the tables are missing; run: popbsmtp schema install/],
      "another spool": [
        (text) => text.replace(/^spool = .*/m, 'spool = "/var/spool/other"'),
        /spool: cannot change while the daemon runs; restart it/,
      ],
      "a socket where none can be made": [
        (text) => text.replace(/^socketmap = .*/m, 'socketmap = "/proc/socketmap"'),
        /\/proc\/socketmap: cannot listen there/,
      ],
    };
    for (const [name, [change, reason]] of Object.entries(wrong)) {
      it(name, async () => {
        await using load = startLoad(serve.imap, { name: `${name} `, every: 10 });
        // and a setting that is right, which is not to take effect either
        const answer = await reloadWith((text) => change(top('exclude = ["192.0.2.0/24"]')(text)));
        assert.match(answer, / error reload-refused reason=/);
        assert.match(answer, reason);
        assert.doesNotMatch(answer, /guessed/);
        const { length } = load.made;
        await waitUntil("logins to go on", () => load.made.length > length + 5);
        await load.stop();
        assert.deepEqual(load.failed, []);
        await waitUntil("the spool to be drained", () => box.waiting().length === 0);
        writeFileSync(box.config, original);
        assertRecorded(load.made, await box.rows());
        assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
      });
    }
  });

  describe("takes over from a new configuration:", () => {
    afterEach(restore);

    it("a shorter lifetime, and then a longer one", async () => {
      const client = "198.51.100.1";
      await logIn(serve.imap, client, "bob");
      assert.equal(await askPolicy(serve.policy, client), "OK");
      assert.match(await reloadWith(top('lifetime = "1s"')), / info reloaded$/);
      await waitUntil("the lifetime to end", async () => {
        return (await askPolicy(serve.policy, client)) === "DUNNO";
      });
      await restore();
      await waitUntil("the lifetime to go on", async () => {
        return (await askPolicy(serve.policy, client)) === "OK";
      });
    });

    it("a network to exclude", async () => {
      const client = "198.51.100.2";
      await logIn(serve.imap, client, "before");
      assert.equal(await askPolicy(serve.policy, client), "OK");
      assert.match(await reloadWith(top('exclude = ["198.51.100.0/24"]')), / info reloaded$/);
      await logIn(serve.imap, client, "after");
      assert.equal(await askPolicy(serve.policy, client), "DUNNO");
      const users = (await box.rows()).map(({ user }) => user);
      assert.ok(users.includes("before") && !users.includes("after"));
    });

    it("another endpoint, and leaves the others as they are", async () => {
      const policy = join(box.directory, "run", "policy2");
      await using load = startLoad(serve.imap, { name: "endpoint " });
      const answer = await reloadWith((text) =>
        text.replace(/^policy = .*/m, `policy = "${policy}"`),
      );
      assert.match(answer, / info reloaded$/);
      assert.equal(await askPolicy(policy, "203.0.113.1"), "DUNNO");
      await assert.rejects(askPolicy(serve.policy, "203.0.113.1"), /ENOENT/);
      await load.stop();
      assert.deepEqual(load.failed, []);
    });

    it("another table, into which logins go from then on", async () => {
      await logIn(serve.imap, "203.0.113.2", "former");
      writeFileSync(box.config, other(original));
      await box.popbsmtp("schema", "install");
      assert.match(await reloadWith(other), / info reloaded$/);
      await logIn(serve.imap, "203.0.113.2", "latter");
      const users = async () => (await box.list()).map(({ user }) => user);
      assert.deepEqual(await users(), ["latter"]);
      await restore();
      assert.ok((await users()).includes("former"));
    });
  });

  describe("is the only one:", () => {
    /** Starts a second one with a changed configuration, which ends by itself. */
    const second = async (change: (text: string) => string): Promise<RunResult> => {
      const config = join(box.directory, "second.toml");
      writeFileSync(config, change(original));
      return await run(box.program, ["--config", config, "serve"], { timeout: 10_000 });
    };
    const undisturbed = async () => {
      await logIn(serve.imap, "203.0.113.5", "still");
      assert.equal(await askPolicy(serve.policy, "203.0.113.5"), "OK");
      assert.equal((await askSocket(serve.socketmap, "18:popbsmtp 192.0.2.99,")).length > 0, true);
    };

    it("a second one on the same sockets says who listens there, and ends with 73", async () => {
      const { status, stderr } = await second((text) => text);
      assert.equal(status, 73, stderr.toString());
      assert.match(
        stderr.toString(),
        /^popbsmtp: serve\.(?:dict|imap): \S+: another popbsmtp serve listens there \(stop it first\)\n$/,
      );
      await undisturbed();
    });

    it("a second one on the same spool says who is at work there, and ends with 75", async () => {
      const { status, stderr } = await second((text) =>
        text.replaceAll(/^(dict|imap|pop3|policy|socketmap) = "(.*)"$/gm, '$1 = "$2.second"'),
      );
      assert.equal(status, 75, stderr.toString());
      assert.equal(
        stderr.toString(),
        `popbsmtp: spool: ${box.spool}: another popbsmtp serve (process ${serve.pid}) is using it; stop that daemon first\n`,
      );
      await undisturbed();
    });
  });
});

for (const store of ["there", "away"] as const) {
  it(`SIGTERM under load ends the daemon with 0; with the store ${store}, each login that was answered is in it or in the spool`, async () => {
    await using box = await install("mysql");
    await using serve = await startServe(box);
    await using load = startLoad(serve.imap, { every: 2 });
    if (store === "away") await box.server?.stop();
    await waitUntil("many logins", () => load.made.length > 200);
    assert.equal(await serve.stop(), 0);
    // those after it found nobody; none was let in only to be sent away
    await load.stop();
    for (const why of load.failed) assert.match(why, /ENOENT|ECONNREFUSED|ECONNRESET|EPIPE/);
    if (store === "away") await box.server?.start();
    await box.popbsmtp("drain");
    assertRecorded(load.made, await box.rows());
  });
}

it("who has connected before SIGTERM is answered and recorded, though the question comes later", async () => {
  await using box = await install("pgsql");
  await using serve = await startServe(box);
  const socket = createConnection({ path: serve.imap });
  const request = postLoginRequest("192.0.2.1", "bob");
  socket.write(request.slice(0, 20));
  const ended = serve.stop();
  await waitUntil("the end to begin", () => serve.log().includes(" info stopping"));
  socket.write(request.slice(20));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "bob\n");
  assert.equal(await ended, 0);
  assert.deepEqual(box.waiting(), []);
  assert.deepEqual(
    (await box.rows()).map(({ user }) => user),
    ["bob"],
  );
});
