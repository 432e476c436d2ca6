import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseAddress } from "../../../src/login/address.ts";
import { cutUser, type Login } from "../../../src/login/login.ts";
import { parseEntry } from "../../../src/spool/entry.ts";
import { InHand, recoverInHand } from "../../../src/spool/in-hand.ts";
import { Spool } from "../../../src/spool/spool.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

function login(user: string, microseconds = 0): Login {
  const address = parseAddress("2001:db8::1");
  assert.ok(address !== undefined);
  return { address, user, service: "imap", time: 1_772_000_000_000 + microseconds / 1000 };
}

/** A spool, and the file of a daemon at work in it. */
function daemon() {
  const directory = temporaryDirectory();
  const spool = new Spool(directory.path);
  const files = () => readdirSync(spool.path).filter((name) => name.startsWith(".in-hand-"));
  return {
    spool,
    files,
    inHand: new InHand(spool.path),
    /** The daemon is killed: its file is that of a process which is no more. */
    kill: () => {
      for (const name of files()) {
        renameSync(join(spool.path, name), join(spool.path, `.in-hand-${process.pid}.1`));
      }
    },
    recovered: () =>
      spool.scan().entries.map((entry) => parseEntry(entry, spool.read(entry.name) ?? Buffer.of())),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("logins in hand", () => {
  it("are in the spool after the daemon was killed, with their own time, and only those", async () => {
    await using there = daemon();
    const release = ["a", "b", "c"].map((user, at) => there.inHand.hold(login(user, at)));
    release[1]?.();
    there.inHand.hold(login("a name that is longer than the one before", 25));
    release[0]?.();
    there.kill();
    recoverInHand(there.spool);
    assert.deepEqual(there.recovered(), [
      login("c", 2),
      login("a name that is longer than the one before", 25),
    ]);
    assert.deepEqual(there.files(), []);
    recoverInHand(there.spool);
    assert.equal(there.recovered().length, 2);
  });

  it("are neither written through a link nor read from what another user has put there", async () => {
    await using there = daemon();
    const victim = join(there.spool.path, "victim");
    writeFileSync(victim, "untouched");
    const [own] = (there.inHand.hold(login("a")), there.files());
    assert.ok(own !== undefined);
    there.inHand[Symbol.dispose]();
    symlinkSync(victim, join(there.spool.path, own));
    new InHand(there.spool.path).hold(login("b"));
    assert.equal(readFileSync(victim, "utf8"), "untouched");
    rmSync(victim);
    rmSync(join(there.spool.path, own));
    // of processes that are no more
    const [fifo, link] = [".in-hand-1.1", ".in-hand-1.2"].map((name) =>
      join(there.spool.path, name),
    );
    assert.ok(fifo !== undefined && link !== undefined);
    execFileSync("mkfifo", [fifo]);
    symlinkSync("/dev/zero", link);
    recoverInHand(there.spool);
    assert.deepEqual([there.files(), there.recovered()], [[], []]);
  });

  it("may have any name", async () => {
    await using there = daemon();
    const names = [
      "",
      "\n",
      'a\nb"\\',
      "é",
      cutUser("\u0001".repeat(300)),
      cutUser("\u{1f4ee}".repeat(300)),
    ];
    for (const [at, user] of names.entries()) there.inHand.hold(login(user, at));
    there.kill();
    recoverInHand(there.spool);
    assert.deepEqual(
      there.recovered().map((found) => found?.user),
      names,
    );
  });

  it("are left alone while their daemon is alive", async () => {
    await using there = daemon();
    there.inHand.hold(login("bob"));
    recoverInHand(there.spool);
    assert.deepEqual([there.recovered(), there.files().length], [[], 1]);
  });

  it("leave nothing behind in the end", async () => {
    await using there = daemon();
    const release = there.inHand.hold(login("bob"));
    there.inHand[Symbol.dispose]();
    release();
    there.inHand.hold(login("late"));
    assert.deepEqual(there.files(), []);
  });

  it("that cannot be read are left out", async () => {
    await using there = daemon();
    writeFileSync(
      join(there.spool.path, ".in-hand-1.1"),
      '{"address":"nowhere","user":"x","service":"","time":1}\ngarbage',
    );
    recoverInHand(there.spool);
    assert.deepEqual([there.recovered(), there.files()], [[], []]);
  });

  it("need no spool to be held", () => {
    new InHand("/no/such/directory").hold(login("bob"))();
  });
});
