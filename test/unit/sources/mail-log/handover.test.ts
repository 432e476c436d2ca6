import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import type { Login } from "../../../../src/login/login.ts";
import { Handover } from "../../../../src/sources/mail-log/handover.ts";
import type { LogPosition } from "../../../../src/sources/mail-log/log-file.ts";
import { parseEntry, parseEntryName } from "../../../../src/spool/entry.ts";
import { account } from "../../../support/accounts.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const LOG = "/var/log/mail.log";

interface SpoolDirectory extends AsyncDisposable {
  readonly path: string;
  open(): Promise<Handover>;
  /** Names of the logins in the spool. */
  names(): readonly string[];
  logins(): readonly (Login | undefined)[];
  /** Where the log's logins are before they are in the spool. */
  stage(): string;
}

function spool(): SpoolDirectory {
  const directory = temporaryDirectory();
  const { path } = directory;
  const names = () =>
    readdirSync(path)
      .filter((name) => /^\d/.test(name))
      .toSorted();
  return {
    path,
    open: () => Handover.open(path, LOG),
    names,
    logins: () =>
      names().map((name) => {
        const entry = parseEntryName(name);
        assert.ok(entry !== undefined, name);
        return parseEntry(entry, readFileSync(join(path, name)));
      }),
    stage: () => join(path, readdirSync(path).find((name) => name.startsWith(".watch-")) ?? ""),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

function place(offset: number): LogPosition {
  const head = { bytes: 0, sha256: "" };
  return { device: "1", inode: "2", head, offset, lines: offset / 100, modified: 0 };
}

function login(user: string, time = 1_700_000_000_000): Login {
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  return { address, user, service: "imap", time };
}

test("logins are in the spool, and the place is remembered", async () => {
  await using there = spool();
  {
    using handover = await there.open();
    assert.equal(handover.place, undefined);
    handover.handOver([login("bob"), login("eve", 1_700_000_000_000.001)], place(200), {
      doubts: [],
    });
  }
  assert.deepEqual(there.logins(), [login("bob"), login("eve", 1_700_000_000_000.001)]);
  using again = await there.open();
  assert.deepEqual(again.place, place(200));
});

test("logins that differ only in the user are two, and equal ones are one", async () => {
  await using there = spool();
  using handover = await there.open();
  handover.handOver([login("bob"), login("eve"), login("bob")], place(300), { doubts: [] });
  assert.deepEqual(new Set(there.logins().map((each) => each?.user)), new Set(["bob", "eve"]));
  assert.equal(there.names().length, 2);
});

test("killed before the place was remembered, it reads the logins again, which are not in the spool", async () => {
  await using there = spool();
  {
    using handover = await there.open();
    handover.handOver([], place(100), { doubts: [] });
    writeFileSync(join(there.stage(), "1700000000000000.5000000001"), "half of a lo");
  }
  using again = await there.open();
  assert.deepEqual(again.place, place(100));
  again.handOver([], place(200), { doubts: [] });
  assert.deepEqual(there.names(), []);
  assert.deepEqual(readdirSync(there.stage()).toSorted(), [".lock", "position"]);
});

test("killed after the place was remembered, it moves the remaining logins to the spool", async () => {
  await using there = spool();
  {
    using handover = await there.open();
    handover.handOver([login("bob"), login("eve")], place(100), { doubts: [] });
  }
  const [moved = ""] = there.names();
  renameSync(join(there.path, moved), join(there.stage(), moved));
  const all = [moved, ...there.names()];
  using again = await there.open();
  assert.deepEqual(again.place, place(100));
  assert.deepEqual(there.names(), all);
});

test("killed after all were moved, it does not bring back logins that were drained meanwhile", async () => {
  await using there = spool();
  {
    using handover = await there.open();
    handover.handOver([login("bob")], place(100), { doubts: [] });
  }
  const [drained = ""] = there.names();
  renameSync(join(there.path, drained), join(there.path, ".drained"));
  using again = await there.open();
  again.handOver([], place(200), { doubts: [] });
  assert.deepEqual(there.names(), []);
});

test("an invalid position counts as none", async () => {
  await using there = spool();
  {
    using handover = await there.open();
    handover.handOver([], place(100), { doubts: [] });
  }
  for (const text of [
    "",
    "{",
    "{}",
    readFileSync(join(there.stage(), "position"), "utf8").replace("[]", '["../../etc/passwd"]'),
  ]) {
    writeFileSync(join(there.stage(), "position"), text);
    using again = await there.open();
    assert.equal(again.place, undefined, text);
  }
});

test("a spool that cannot be written to leaves the place unchanged", async (t) => {
  await using there = spool();
  using handover = await there.open();
  handover.handOver([], place(100), { doubts: [] });
  // root may write anywhere
  const { uid } = account("nobody");
  chmodSync(there.path, 0o755);
  chmodSync(there.stage(), 0o755);
  process.seteuid?.(uid);
  t.after(() => process.seteuid?.(0));
  assert.throws(() => handover.handOver([login("bob")], place(200), { doubts: [] }), {
    exitStatus: 77,
  });
  process.seteuid?.(0);
  assert.deepEqual(handover.place, place(100));
  handover.handOver([login("bob")], place(200), { doubts: [] });
  assert.equal(there.names().length, 1);
});

test("one process at a time watches a log", { timeout: 30_000 }, async () => {
  await using there = spool();
  using handover = await there.open();
  await assert.rejects(there.open(), {
    exitStatus: 75,
    message: /another popbsmtp is watching it/,
  });
  handover.handOver([], place(100), { doubts: [] });
});

test("each log has a place of its own", async () => {
  await using there = spool();
  using one = await there.open();
  one.handOver([], place(100), { doubts: [] });
  using other = await Handover.open(there.path, "/var/log/other.log");
  assert.equal(other.place, undefined);
});
