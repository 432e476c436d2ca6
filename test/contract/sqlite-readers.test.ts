import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import type { SqliteStoreConfig } from "../../src/config/config.ts";
import type { Login } from "../../src/login/login.ts";
import { homeOf, makeHomeAsRoot } from "../../src/stores/home.ts";
import { openStore, postfixQuery } from "../../src/writers/open-stores.ts";
import { account } from "../support/accounts.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitUntil } from "../support/wait-until.ts";
import { LIFETIME } from "./subject.ts";
import { sqliteWith } from "../support/config.ts";

// Postfix's: no part in any other group, and the right to read only
const READER = account("postfix");

function login(octet: number, time: number): Login {
  const address = parseAddress(`192.0.2.${String(octet)}`);
  assert.ok(address !== undefined);
  return { address, user: "bob", service: "imap", time };
}

/** An installed file, whose writer is root, and Postfix's way of reading it. */
async function installed(): Promise<
  AsyncDisposable & {
    readonly config: SqliteStoreConfig;
    readonly open: () => ReturnType<typeof openStore>;
    /**
     * What Postfix's query says about an address, with the client's options given; throws what it
     * complains about.
     */
    readonly ask: (octet: number, ...options: string[]) => Promise<string>;
  }
> {
  const directory = temporaryDirectory({ mode: 0o755 });
  const config = sqliteWith({ path: join(directory.path, "popbsmtp", "popbsmtp.db") });
  const home = homeOf(config);
  assert.ok(home !== undefined && makeHomeAsRoot(home, { uid: 0, gid: READER.gid }));
  const open = () => openStore(config, { lifetime: LIFETIME });
  const store = open();
  await store.install();
  await store.close();
  return {
    config,
    open,
    ask: async (octet, ...options) => {
      const sql = postfixQuery(config, LIFETIME).replace("%s", `192.0.2.${String(octet)}`);
      const { stdout, stderr } = await run("sqlite3", [...options, config.path, sql], {
        uid: READER.uid,
        gid: READER.gid,
      });
      assert.equal(stderr.toString(), "");
      return stdout.toString().trim();
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("a SQLite file that Postfix reads", () => {
  it("belongs to the writer and to Postfix's group, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      await using file = await installed();
      const { path } = file.config;
      for (const each of [path, `${path}-wal`, `${path}-shm`]) {
        const { mode, uid, gid } = statSync(each);
        assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 0, READER.gid], each);
      }
      const { mode, uid, gid } = statSync(dirname(path));
      assert.deepEqual([mode & 0o7777, uid, gid], [0o2750, 0, READER.gid]);
    } finally {
      process.umask(before);
    }
  });

  for (const options of [["-readonly"], []]) {
    it(`is read before, during and after writes (sqlite3 ${options.join(" ")})`, async () => {
      await using file = await installed();
      assert.equal(await file.ask(1, ...options), "");
      const store = file.open();
      await store.authorize([login(1, Date.now())], Date.now());
      assert.equal(await file.ask(1, ...options), "OK");

      // a transaction that is not done
      using writer = new DatabaseSync(file.config.path);
      writer.exec("BEGIN IMMEDIATE; DELETE FROM popbsmtp");
      assert.equal(await file.ask(1, ...options), "OK");
      writer.exec("COMMIT");
      assert.equal(await file.ask(1, ...options), "");

      await store.authorize([login(2, Date.now())], Date.now());
      writer.close();
      await store.close();
      assert.equal(await file.ask(2, ...options), "OK");
    });
  }

  it("keeps the files that a reader may not create", async () => {
    await using file = await installed();
    const store = file.open();
    await store.authorize([login(1, Date.now())], Date.now());
    await store.purge({ optimize: true });
    await store.close();
    assert.ok(statSync(`${file.config.path}-wal`).isFile());
    assert.ok(statSync(`${file.config.path}-shm`).isFile());
    assert.equal(await file.ask(1), "OK");
  });

  it("is read after its writer was killed, and has what that committed", async () => {
    await using file = await installed();
    const [open, sqlite] = ["writers/open-stores", "stores/sqlite/sqlite-dialect"].map((name) =>
      JSON.stringify(import.meta.resolve(`../../src/${name}.ts`)),
    );
    const script = `
      const { openStore } = await import(${open});
      await import(${sqlite});
      const store = openStore(${JSON.stringify(file.config)}, { lifetime: ${String(LIFETIME)} });
      for (let octet = 1; ; octet = (octet % 250) + 1) {
        const login = { address: "192.0.2." + octet, user: "bob", service: "imap", time: Date.now() };
        await store.authorize([login], Date.now());
        process.stdout.write(octet + "\\n");
      }`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let written = "";
    child.stdout.on("data", (chunk: Buffer) => (written += chunk.toString()));
    await waitUntil("twenty logins", () => written.split("\n").length > 20);
    child.kill("SIGKILL");
    await once(child, "close");
    for (const octet of written.trim().split("\n").slice(0, 20)) {
      assert.equal(await file.ask(Number(octet)), "OK");
    }
    const store = file.open();
    await store.authorize([login(251, Date.now())], Date.now());
    await store.close();
    assert.equal(await file.ask(251), "OK");
  });

  it("does not grow beside itself", async () => {
    await using file = await installed();
    const store = file.open();
    const wal = () => statSync(`${file.config.path}-wal`).size;
    const batch = Array.from({ length: 250 }, (_, i) => login(i, Date.now()));
    for (let i = 0; i < 100; i++) {
      await store.authorize(
        batch.map((each) => ({ ...each, time: each.time + i / 1000, user: `user ${String(i)}` })),
        Date.now(),
      );
    }
    assert.ok(wal() < 8_000_000, `${String(wal())} bytes`);
    await store.purge();
    assert.equal(wal(), 0);
    await store.close();
  });
});

it("a SQLite file is created by install only", async () => {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "popbsmtp.db");
  const store = openStore(sqliteWith({ path }), { lifetime: LIFETIME });
  await assert.rejects(
    store.list(),
    /^StoreAwayError: store: sqlite .*: it does not exist; run: popbsmtp schema install$/,
  );
  assert.throws(() => statSync(path), /ENOENT/);
  await store.install();
  assert.deepEqual(await store.list(), []);
  await store.close();
});
