import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { StoreAwayError } from "../../../src/lib/errors.ts";
import type { Login } from "../../../src/login/login.ts";
import { loadConfig } from "../../../src/config/reading/load.ts";
import type { DrainOptions } from "../../../src/drain/channel.ts";
import { drainOnce } from "../../../src/drain/drain.ts";
import { mainChannel } from "../../../src/drain/drains.ts";
import { Spool } from "../../../src/spool/spool.ts";
import { A_TURN } from "../../../src/lib/turns.ts";
import type { Authorization } from "../../../src/stores/store.ts";
import { openStores, openWriters } from "../../../src/writers/open-stores.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const FILES = 2_000;

/** No process has this id: pid_max is at most 2^22. */
const GONE = 4_194_305;

interface Drain extends AsyncDisposable {
  readonly spool: string;
  /** What waits there. */
  waiting(): readonly string[];
  /** Drains once; returns how many logins that were. */
  drain(options?: DrainOptions): Promise<number | undefined>;
  /** Takes the store away. */
  breakStore(): void;
  rows(): Promise<readonly Authorization[]>;
}

/** A spool and a SQLite store. */
async function setUp(): Promise<Drain> {
  const directory = temporaryDirectory();
  const spool = join(directory.path, "spool");
  const file = join(directory.path, "popbsmtp.toml");
  mkdirSync(spool);
  writeFileSync(
    file,
    `spool = "${spool}"\nuser = "root"\nexclude = ["198.51.100.0/24"]\n[store]\ndriver = "sqlite"\npath = "${directory.path}/db/popbsmtp.db"\n`,
  );
  const config = await loadConfig(file);
  const store = openStores(config);
  const writers = openWriters(config, { now: Date.now });
  const channel = mainChannel(config, writers, () => undefined);
  await store.install();
  return {
    spool,
    waiting: () => readdirSync(spool).filter((name) => !name.startsWith(".") && name !== "bad"),
    drain: async (options) => (await drainOnce(channel, options))?.drained,
    breakStore: () => renameSync(join(directory.path, "db"), join(directory.path, "away")),
    rows: () => store.list(),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await writers.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** The name of a file written `age` milliseconds ago by a process that is gone. */
function entryName(number: number, age = 60_000): string {
  return `${String((Date.now() - age) * 1_000 + number)}.${String(GONE)}`;
}

function login(address: string, number: number): string {
  return `1\0${address}\0imap\0user${String(number)}\0\n`;
}

/**
 * The most calls of any of Spool's methods that touch a file, between two turns of the event loop.
 */
function mostInOneTurn(t: TestContext): { readonly most: () => number; readonly stop: () => void } {
  let most = 0;
  let running = true;
  const mocks = (["read", "remove", "setAside"] as const).map((name) =>
    t.mock.method(Spool.prototype, name),
  );
  const turn = () => {
    for (const { mock } of mocks) {
      most = Math.max(most, mock.callCount());
      mock.resetCalls();
    }
    if (running) setImmediate(turn);
  };
  turn();
  return { most: () => most, stop: () => (running = false) };
}

describe("a drain", () => {
  const kinds = [
    { kind: "good", name: entryName, content: (n: number) => login("192.0.2.1", n), left: 0 },
    {
      kind: "excluded",
      name: entryName,
      content: (n: number) => login("198.51.100.1", n),
      left: 0,
    },
    { kind: "empty", name: entryName, content: () => "", left: 0 },
    { kind: "malformed", name: entryName, content: () => "2\0x\0y\0z\0\n", left: 0 },
    { kind: "foreign", name: (n: number) => `core.${String(n)}`, content: () => "", left: 0 },
    { kind: "unfinished", name: (n: number) => entryName(n, 0), content: () => "1", left: FILES },
  ];
  for (const { kind, name, content, left } of kinds) {
    it(`lets the event loop turn after every ${String(A_TURN)} of many ${kind} files`, async (t) => {
      await using there = await setUp();
      for (let n = 0; n < FILES; n++) writeFileSync(join(there.spool, name(n)), content(n));
      const counted = mostInOneTurn(t);
      await there.drain();
      counted.stop();
      assert.equal(there.waiting().length, left);
      assert.ok(counted.most() >= 10, "nothing was counted");
      assert.ok(counted.most() <= A_TURN, `${String(counted.most())} in one turn`);
    });
  }

  it("removes an empty file whose writer is gone, and leaves one that may still be written", async () => {
    await using there = await setUp();
    const [gone, alive] = [entryName(1), `${String((Date.now() - 60_000) * 1_000)}.${process.pid}`];
    const partial = entryName(2);
    for (const name of [gone, alive]) writeFileSync(join(there.spool, name), "");
    writeFileSync(join(there.spool, partial), "1\0");
    assert.equal(await there.drain(), 0);
    assert.deepEqual(there.waiting(), [alive]);
    assert.deepEqual(readdirSync(join(there.spool, "bad")), [partial, `${partial}.why`]);
    writeFileSync(join(there.spool, alive), login("192.0.2.1", 1));
    assert.equal(await there.drain(), 1);
    assert.deepEqual(there.waiting(), []);
  });

  const MINUTE = 60_000;

  for (const isAway of [false, true]) {
    const whatever = isAway ? ", while the store is away, too" : "";
    it(`sets aside logins from before this host's clock was set back${whatever}`, async () => {
      await using there = await setUp();
      const names = { past: entryName(1, 0), ahead: entryName(2, -2 * 60 * MINUTE) };
      for (const name of Object.values(names)) {
        writeFileSync(join(there.spool, name), login("192.0.2.1", 1));
      }
      const refused: number[] = [];
      const options = { onRefused: ({ time }: Login) => refused.push(Math.round(time * 1_000)) };
      if (isAway) {
        there.breakStore();
        await assert.rejects(there.drain(options), StoreAwayError);
      } else assert.equal(await there.drain(options), 1);
      assert.deepEqual(there.waiting(), isAway ? [names.past] : []);
      assert.deepEqual(readdirSync(join(there.spool, "bad")), [names.ahead, `${names.ahead}.why`]);
      assert.deepEqual(refused, [Number(names.ahead.split(".")[0])]);
    });
  }

  it("takes a login that is a little ahead, as one of a watched log may be, for one of now", async () => {
    await using there = await setUp();
    writeFileSync(join(there.spool, entryName(1, -30_000)), login("192.0.2.1", 1));
    assert.equal(await there.drain(), 1);
    const [row] = await there.rows();
    assert.ok(row !== undefined && row.lastSeen.getTime() <= Date.now());
  });
});
