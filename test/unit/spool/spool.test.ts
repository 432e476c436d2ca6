import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseAddress } from "../../../src/login/address.ts";
import { Spool } from "../../../src/spool/spool.ts";
import { account, requireRoot } from "../../support/accounts.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { mountTmpfs } from "../../support/tmpfs.ts";

const address = parseAddress("192.0.2.1");
assert.ok(address);
const login = { address, user: "u".repeat(3_000), service: "imap", time: 1_700_000_000_000 };

/** A spool on a file system of its own that is full, until `free`. */
async function onAFullDisk() {
  requireRoot("mount(8)");
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory());
  stack.use(await mountTmpfs(path, account("nobody")));
  const directory = join(path, "spool");
  mkdirSync(directory);
  const ballast = join(path, "ballast");
  assert.throws(() => writeFileSync(ballast, Buffer.alloc(1_000_000)), { code: "ENOSPC" });
  const resources = stack.move();
  return {
    spool: new Spool(directory),
    files: () => readdirSync(directory),
    free: () => rmSync(ballast),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

describe("a spool on a full disk", () => {
  it("refuses a login and keeps nothing of it, and takes the next one when there is room", async () => {
    await using there = await onAFullDisk();
    assert.throws(() => there.spool.write(login), { code: "ENOSPC" });
    assert.deepEqual(there.files(), []);
    there.free();
    there.spool.write(login);
    assert.deepEqual(there.files(), [`${String(login.time)}000.${String(process.pid)}`]);
  });

  it("cannot say that the store is away, or who drains, and leaves nothing half done", async () => {
    await using there = await onAFullDisk();
    there.spool.drain.setAway("the store hangs");
    there.spool.drain.advertise(0, "drain");
    assert.deepEqual(there.files(), []);
    there.free();
    there.spool.drain.setAway("the store hangs");
    there.spool.drain.advertise(0, "drain");
    assert.equal(there.spool.drain.away(), "the store hangs");
    assert.equal(there.spool.drain.atWork(), process.pid);
  });
});
