/** Root makes Unix sockets in directories of a user who wants to become root. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { listenAtPath } from "../../../../src/daemon/sockets/socket-file.ts";
import { account } from "../../../support/accounts.ts";
import { PLAIN_ENV, runOk } from "../../../support/run.ts";
import { SOAK } from "../../../support/soak.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** So often the attacker has a chance. */
const TIMES = SOAK ? 1_000 : 50;

const owner = account("nobody");

/** A directory of the attacker's, and a file and a directory of root's. */
async function scene() {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const [theirs, secret, etc] = [join(path, "theirs"), join(path, "secret"), join(path, "etc")];
  for (const directory of [theirs, etc]) mkdirSync(directory, { mode: 0o755 });
  chownSync(theirs, owner.uid, owner.gid);
  writeFileSync(secret, "root's", { mode: 0o600 });
  const { mtimeNs } = lstatSync(etc, { bigint: true });
  const resources = stack.move();
  return {
    theirs,
    secret,
    etc,
    /** What is root's is as it was, and nothing was ever made beside it. */
    assertUntouched: () => {
      assert.deepEqual(owned(secret), [0, 0, 0o600]);
      assert.deepEqual(owned(etc), [0, 0, 0o755]);
      assert.equal(lstatSync(etc, { bigint: true }).mtimeNs, mtimeNs);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Runs the body of an endless loop as the directory's owner, until it is disposed of. */
async function attack(body: string, args: readonly string[]): Promise<AsyncDisposable> {
  const program = `
    const { lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, chmodSync } = require("node:fs");
    const args = process.argv.slice(1);
    const attempt = (step) => { try { step(); } catch {} };
    process.stdout.write("begun");
    for (;;) { ${body} }`;
  const { uid, gid } = owner;
  const attacker = spawn(process.execPath, ["-e", program, ...args], {
    uid,
    gid,
    env: { ...PLAIN_ENV },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(attacker.stdout, "data");
  return {
    [Symbol.asyncDispose]: async () => {
      attacker.kill("SIGKILL");
      await once(attacker, "close");
    },
  };
}

/** Listens and stops, again and again, whether or not that works. Returns how often it did. */
async function listen(path: string): Promise<number> {
  let times = 0;
  for (let attempt = 0; attempt < TIMES; attempt++) {
    const server = createServer();
    try {
      const stop = await listenAtPath(path, server, { mode: 0o666, owner });
      times += 1;
      stop();
    } catch {
      // the attacker was in the way
    }
  }
  return times;
}

function owned(path: string): readonly number[] {
  const { uid, gid, mode } = lstatSync(path);
  return [uid, gid, mode & 0o7777];
}

describe("a user who can write to a socket's directory gains nothing", () => {
  it("by putting a link in the socket's place", async () => {
    await using place = await scene();
    const { theirs, secret, etc } = place;
    const path = join(theirs, "policy");
    // as soon as the socket is there, and for long enough that root comes by
    const swap = `attempt(() => {
        if (!lstatSync(args[0]).isSocket()) return;
        rmSync(args[0]);
        symlinkSync(Math.random() < 0.8 ? args[1] : args[2] + "/new", args[0]);
        for (let times = 0; times < 1_000; times++) lstatSync(args[0]);
      });
      attempt(() => { if (lstatSync(args[0]).isSymbolicLink()) rmSync(args[0]) });`;
    {
      await using _ = await attack(swap, [path, secret, etc]);
      assert.ok((await listen(path)) > 0);
    }
    place.assertUntouched();
  });

  it("by putting a link in the directory's place", async () => {
    await using place = await scene();
    const { theirs, etc } = place;
    const [run, other] = [join(theirs, "run"), join(theirs, "other")];
    const swap = `attempt(() => mkdirSync(args[0])); attempt(() => chmodSync(args[0], 0));
      attempt(() => renameSync(args[0], args[1])); attempt(() => symlinkSync(args[2], args[0]));
      attempt(() => rmSync(args[0])); attempt(() => rmSync(args[1], { recursive: true }));`;
    {
      await using _ = await attack(swap, [run, other, etc]);
      await listen(join(run, "policy"));
    }
    place.assertUntouched();
  });

  it("by leaving a link there in advance", async () => {
    await using place = await scene();
    const { theirs, secret, etc } = place;
    symlinkSync(secret, join(theirs, "policy"));
    symlinkSync(etc, join(theirs, "run"));
    assert.equal(await listen(join(theirs, "policy")), 0);
    assert.equal(await listen(join(theirs, "run", "policy")), 0);
    place.assertUntouched();
    assert.ok(lstatSync(join(theirs, "policy")).isSymbolicLink());
  });
});

describe("root creates a socket", () => {
  const options = { mode: 0o660, owner };
  const made = async (path: string) => {
    const stop = await listenAtPath(path, createServer(), options);
    const found = owned(path);
    stop();
    assert.ok(!existsSync(path));
    return found;
  };

  it("that is its user's from the start, in a directory of that user", async () => {
    await using place = await scene();
    assert.deepEqual(await made(join(place.theirs, "policy")), [owner.uid, owner.gid, 0o660]);
  });

  it("and its directory, which is then the user's, if only root can create it", async () => {
    await using place = await scene();
    const directory = join(place.etc, "run", "popbsmtp");
    assert.deepEqual(await made(join(directory, "policy")), [owner.uid, owner.gid, 0o660]);
    assert.deepEqual(owned(directory), [owner.uid, owner.gid, 0o755]);
    assert.deepEqual(owned(join(directory, "..")), [0, 0, 0o755]);
  });

  it("that stays root's in a directory that its user cannot write to", async () => {
    await using place = await scene();
    assert.deepEqual(await made(join(place.etc, "policy")), [0, 0, 0o660]);
    const { uid, gid } = account("postfix");
    chownSync(place.etc, uid, gid);
    chmodSync(place.etc, 0o700);
    assert.deepEqual(await made(join(place.etc, "policy")), [0, 0, 0o660]);
  });

  it("through a link of root's to the directory, such as /var/run", async () => {
    await using place = await scene();
    const link = join(place.etc, "..", "link");
    symlinkSync("etc", link);
    assert.deepEqual(await made(join(link, "policy")), [0, 0, 0o660]);
  });

  it("in place of a killed process's, of any user", async () => {
    await using place = await scene();
    const program =
      "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))";
    for (const directory of [place.etc, place.theirs]) {
      const path = join(directory, "policy");
      await assert.rejects(runOk(process.execPath, ["-e", program, path]));
      assert.ok(lstatSync(path).isSocket());
      await made(path);
    }
  });
});
