/**
 * `popbsmtp serve --check` finds what would keep the daemon from working, and disturbs none that is
 * at work.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "../support/free-port.ts";
import { install, type Installation } from "../support/installation.ts";
import { run } from "../support/run.ts";
import { configureServe, startServe, type ServeSockets } from "../support/serve.ts";

async function check(box: Installation) {
  const { status, stdout, stderr } = await run(box.program, [
    "--config",
    box.config,
    "serve",
    "--check",
  ]);
  return { status, out: stdout.toString(), err: stderr.toString() };
}

describe("serve --check says what is wrong:", () => {
  const stack = new AsyncDisposableStack();
  let box: Installation;
  let sockets: ServeSockets;
  let original: string;

  before(async () => {
    box = stack.use(await install("sqlite"));
    sockets = configureServe(box);
    original = readFileSync(box.config, "utf8");
  });
  after(() => stack.disposeAsync());

  interface Wrong {
    readonly change?: (text: string) => string;
    readonly begin?: () => AsyncDisposable;
    readonly says: () => RegExp;
    readonly status: number;
  }
  const set = (find: RegExp, line: string) => (text: string) => text.replace(find, line);
  const undo = (work: () => void): AsyncDisposable => ({
    [Symbol.asyncDispose]: () => Promise.resolve(work()),
  });
  const wrong: Readonly<Record<string, Wrong>> = {
    "a configuration that is none": {
      change: (text) => `lifetime = "soon"\n${text}`,
      says: () => /^popbsmtp: .*popbsmtp\.toml: lifetime: /,
      status: 78,
    },
    "a user that does not exist": {
      change: set(/^user = .*/m, 'user = "nosuch"'),
      says: () => /^popbsmtp: user: there is no user nosuch; create it .* or name another\n$/,
      status: 78,
    },
    "an address that is not this host's": {
      change: (text) => `${text}metrics = "192.0.2.1:9154"\n`,
      says: () => /^popbsmtp: serve\.metrics: 192\.0\.2\.1:9154: cannot listen there: .*\n$/,
      status: 73,
    },
    "a file in a socket's place": {
      begin: () => {
        writeFileSync(sockets.policy, "");
        return undo(() => rmSync(sockets.policy));
      },
      says: () =>
        new RegExp(
          `^popbsmtp: serve\\.policy: ${sockets.policy}: exists and is not a socket; move it away\\n$`,
        ),
      status: 73,
    },
    "a directory in which no socket can be made": {
      begin: () => {
        writeFileSync(join(box.directory, "file"), "");
        return undo(() => rmSync(join(box.directory, "file")));
      },
      change: (text) => set(/^policy = .*/m, `policy = "${box.directory}/file/policy"`)(text),
      says: () => /^popbsmtp: serve\.policy: .*\/file\/policy: cannot listen there: ENOTDIR.*\n$/,
      status: 73,
    },
    "a store without tables": {
      change: (text) => set(/^path = .*/m, `path = "${box.directory}/db/other.db"`)(text),
      says: () => /^popbsmtp: .*popbsmtp schema install\n$/,
      status: 75,
    },
    "a spool that is not there": {
      begin: () => {
        renameSync(box.spool, `${box.spool}.away`);
        return undo(() => renameSync(`${box.spool}.away`, box.spool));
      },
      says: () => /^popbsmtp: spool: .*: does not exist; create it/,
      status: 73,
    },
  };
  for (const [name, { change, begin, says, status }] of Object.entries(wrong)) {
    it(name, async () => {
      await using _ = begin?.();
      writeFileSync(box.config, change === undefined ? original : change(original));
      const found = await check(box);
      assert.match(found.err, says());
      assert.equal(found.status, status);
      assert.doesNotMatch(found.out, /^ok$/m);
    });
  }

  it("a port that another process has", async () => {
    const port = await freePort();
    const other = createServer().listen(port, "0.0.0.0");
    await once(other, "listening");
    writeFileSync(box.config, `${original}metrics = "127.0.0.1:${port}"\n`);
    const { status, err } = await check(box);
    assert.match(
      err,
      new RegExp(
        `^popbsmtp: serve\\.metrics: 127\\.0\\.0\\.1:${port}: another process listens there \\(${process.pid}, .*\\); stop it or name another\\n$`,
      ),
    );
    assert.equal(status, 73);
    other.close();
  });

  it("a socket that another process has, and several things at once", async () => {
    const other = createServer().listen(sockets.policy);
    await once(other, "listening");
    writeFileSync(box.config, set(/^user = .*/m, 'user = "nosuch"')(original));
    const { status, err } = await check(box);
    assert.match(err, /user nosuch/);
    assert.match(err, /serve\.policy: .*another process listens there/);
    assert.equal(status, 78);
    other.close();
  });

  it("nothing, where all is well", async () => {
    writeFileSync(box.config, original);
    const roles = Object.entries(sockets).map(([role, path]) => `${role} ${String(path)}\n`);
    assert.deepEqual(await check(box), { status: 0, out: `${roles.join("")}ok\n`, err: "" });
    assert.ok(!existsSync(sockets.policy));
  });
});

it("a daemon at work is in nobody's way, is not disturbed, and says what is wrong with it", async () => {
  await using box = await install("sqlite");
  const port = await freePort();
  await using serve = await startServe(box, `metrics = "127.0.0.1:${port}"`);
  const log = serve.log();
  const { status, out, err } = await check(box);
  assert.deepEqual([status, err], [0, ""]);
  assert.match(out, new RegExp(`^metrics 127\\.0\\.0\\.1:${port}$[^]*^ok$`, "m"));
  assert.equal(serve.log(), log);
  assert.equal(await serve.stop(), 0);
  // another one takes its place, in front of which something stands
  rmSync(serve.policy, { force: true });
  mkdirSync(serve.policy);
  await serve.start();
  const found = await check(box);
  assert.match(found.err, /serve\.policy: .*: exists and is not a socket; move it away/);
  assert.equal(found.err.trimEnd().split("\n").length, 1);
  // what one daemon has said is not the next one's
  await serve.kill9();
  rmdirSync(serve.policy);
  await serve.start();
  assert.equal((await check(box)).err, "");
});
