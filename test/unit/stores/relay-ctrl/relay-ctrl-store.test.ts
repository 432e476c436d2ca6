/**
 * The store driver relay-ctrl beside relay-ctrl itself. What it does as any store does:
 * test/contract/relay-ctrl.test.ts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { parseAddress, type Address } from "../../../../src/login/address.ts";
import { RowRefusedError, StoreAwayError } from "../../../../src/lib/errors.ts";
import { openStore } from "../../../../src/writers/open-stores.ts";
import { RelayCtrlDirectory } from "../../../../src/stores/relay-ctrl/relay-ctrl-directory.ts";
import type { Store } from "../../../../src/stores/store.ts";
import { relayCtrlAge, relayCtrlAllow, relayCtrlCheck } from "../../../support/relay-ctrl.ts";
import {
  temporaryDirectory,
  type TemporaryDirectory,
} from "../../../support/temporary-directory.ts";

const MINUTE = 60_000;

let temporary: TemporaryDirectory;
let path: string;
let store: Store;
beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "allow");
  mkdirSync(path);
  store = openStore({ driver: "relay-ctrl", path }, { lifetime: 15 * MINUTE });
});
afterEach(() => temporary[Symbol.asyncDispose]());

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

async function record(from: string, user = "bob", ago = 0): Promise<void> {
  const now = Date.now();
  await store.authorize([{ address: address(from), user, service: "imap", time: now - ago }], now);
}

async function listed(): Promise<readonly (readonly [string, string | undefined])[]> {
  return (await store.list({ all: true })).map(({ address: from, user }) => [from, user]);
}

describe("relay-ctrl-check", () => {
  it("relays for whom a login is written, and exports who that was", async () => {
    await record("192.0.2.1", "bob");
    await record("192.0.2.2", "bob@example.org");
    await record("192.0.2.3", "");
    assert.deepEqual(relayCtrlCheck(path, "192.0.2.1"), { relays: true, exported: ["USER=bob"] });
    assert.deepEqual(relayCtrlCheck(path, "192.0.2.2"), {
      relays: true,
      exported: ["USER=bob@example.org", "DOMAIN=example.org"],
    });
    assert.deepEqual(relayCtrlCheck(path, "192.0.2.3"), { relays: true, exported: [] });
    assert.equal(relayCtrlCheck(path, "192.0.2.4").relays, false);
  });

  it("finds an IPv6 address by the name that inet_ntop(3) gives it", async () => {
    await record("2001:DB8:0:0::1");
    assert.ok(relayCtrlCheck(path, "2001:db8::1").relays);
  });

  it("counts from the login's own time, however late it was written", async () => {
    await record("192.0.2.1", "bob", 10 * MINUTE);
    assert.ok(relayCtrlCheck(path, "192.0.2.1", 601).relays);
    assert.equal(relayCtrlCheck(path, "192.0.2.1", 598).relays, false);
  });

  for (const user of [
    "bob\0LD_PRELOAD=/tmp/x.so\0",
    "bob\nPATH=/tmp\n",
    "LD_PRELOAD=/tmp/x.so",
    "x@\0PATH=/tmp",
    "@",
    "=",
  ]) {
    it(`exports no more than USER and DOMAIN for ${JSON.stringify(user)}`, async () => {
      await record("192.0.2.1", user);
      const { exported } = relayCtrlCheck(path, "192.0.2.1");
      for (const text of exported) assert.match(text, /^(?:USER|DOMAIN)=/);
    });
  }

  it("may read what it may find, and may write where it may write", async () => {
    for (const [directory, file] of [
      [0o777, 0o666],
      [0o755, 0o644],
      [0o711, 0o644],
      [0o750, 0o640],
      [0o700, 0o600],
    ] as const) {
      chmodSync(path, directory);
      rmSync(join(path, "192.0.2.1"), { force: true });
      await record("192.0.2.1");
      assert.equal(statSync(join(path, "192.0.2.1")).mode & 0o777, file, directory.toString(8));
    }
  });
});

describe("relay-ctrl-allow", () => {
  it("is understood: USER, USER and DOMAIN, nobody", async () => {
    relayCtrlAllow(path, "192.0.2.1", { USER: "bob" }, 1);
    relayCtrlAllow(path, "192.0.2.2", { USER: "bob", DOMAIN: "example.org" }, 2);
    relayCtrlAllow(path, "192.0.2.3", { USER: "bob@example.org", DOMAIN: "example.org" }, 3);
    relayCtrlAllow(path, "192.0.2.4", {}, 4);
    assert.deepEqual(await listed(), [
      ["192.0.2.1", "bob"],
      ["192.0.2.2", "bob@example.org"],
      ["192.0.2.3", "bob@example.org"],
      ["192.0.2.4", ""],
    ]);
    assert.equal(await store.revoke({ user: "bob@example.org" }), 2);
    assert.equal((await store.lookup(address("192.0.2.1")))?.user, "bob");
  });

  it("is not overruled by an earlier login that arrives later", async () => {
    relayCtrlAllow(path, "192.0.2.1", { USER: "ann" });
    await record("192.0.2.1", "bob", MINUTE);
    assert.deepEqual(await listed(), [["192.0.2.1", "ann"]]);
  });

  it("may renew what is about to be purged", () => {
    const directory = new RelayCtrlDirectory(path);
    relayCtrlAllow(path, "192.0.2.1", { USER: "bob" });
    assert.equal(directory.removeOlder(address("192.0.2.1"), Date.now() - MINUTE), false);
    assert.deepEqual(relayCtrlCheck(path, "192.0.2.1").exported, ["USER=bob"]);
    assert.deepEqual(readdirSync(path), ["192.0.2.1"]);
  });
});

it("relay-ctrl-age and purge delete the same", async () => {
  await record("192.0.2.1", "bob", 14 * MINUTE);
  await record("192.0.2.2", "bob", 16 * MINUTE);
  relayCtrlAge(path);
  assert.deepEqual(readdirSync(path), ["192.0.2.1"]);
  relayCtrlAllow(path, "192.0.2.2", {}, 16 * 60);
  assert.equal(await store.purge(), 1);
  assert.deepEqual(readdirSync(path), ["192.0.2.1"]);
});

it("a purge deletes what somebody has begun to write and never ended, and nothing that is not relay-ctrl's", async () => {
  const now = Math.floor(Date.now() / 1000);
  const [stale, fresh, strange] = [".1000000000.1:23", `.${now}.1:23`, ".gitignore"];
  for (const name of [stale, fresh, strange, "README", "010.1.1.1"]) {
    writeFileSync(join(path, name), "");
    utimesSync(join(path, name), 1, 1);
  }
  assert.equal(await store.purge(), 0);
  assert.deepEqual(
    readdirSync(path).toSorted(),
    [fresh, strange, "010.1.1.1", "README"].toSorted(),
  );
});

describe("what is no file of a login's", () => {
  beforeEach(() => {
    const elsewhere = join(temporary.path, "elsewhere");
    writeFileSync(elsewhere, "USER=root\0");
    symlinkSync(elsewhere, join(path, "192.0.2.1"));
    execFileSync("mkfifo", [join(path, "192.0.2.2")]);
    mkdirSync(join(path, "192.0.2.3"));
  });

  it("authorizes nobody", async () => {
    assert.deepEqual(await listed(), []);
    for (const from of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
      assert.equal(await store.lookup(address(from)), undefined);
    }
  });

  it("is replaced by a login's, and what it leads to is left alone", async () => {
    await record("192.0.2.1");
    await record("192.0.2.2");
    assert.deepEqual(relayCtrlCheck(path, "192.0.2.1").exported, ["USER=bob"]);
    assert.equal(readFileSync(join(temporary.path, "elsewhere"), "latin1"), "USER=root\0");
    assert.ok(statSync(join(path, "192.0.2.2")).isFile());
  });

  it("is refused where it cannot be replaced, and nothing is left behind", async () => {
    await assert.rejects(record("192.0.2.3"), RowRefusedError);
    assert.deepEqual(readdirSync(path).length, 3);
  });
});

describe("the directory", () => {
  it("that is missing is an outage, and the message says what to run", async () => {
    rmSync(path, { recursive: true });
    const verbs = [
      () => record("192.0.2.1"),
      () => store.lookup(address("192.0.2.1")),
      () => store.list(),
      () => store.count(),
      () => store.purge(),
      () => store.revoke({ address: address("192.0.2.1") }),
      () => store.schemaVersion(),
    ];
    for (const verb of verbs) {
      await assert.rejects(verb(), (error) => {
        assert.ok(error instanceof StoreAwayError);
        assert.match(
          error.message,
          /allow: the directory does not exist; run: popbsmtp schema install$/,
        );
        return true;
      });
    }
  });

  it("is made with all above it, once", async () => {
    rmSync(path, { recursive: true });
    assert.deepEqual(await store.install(), { from: 0, to: undefined });
    assert.equal(statSync(path).mode & 0o777, 0o711);
    chmodSync(path, 0o777);
    assert.deepEqual(await store.install(), { from: undefined, to: undefined });
    assert.equal(statSync(path).mode & 0o777, 0o777);
  });

  it("that is a file is an outage", async () => {
    rmSync(path, { recursive: true });
    writeFileSync(path, "");
    await assert.rejects(store.install(), /not a directory/);
    await assert.rejects(record("192.0.2.1"), StoreAwayError);
    assert.ok(existsSync(path));
  });
});
