import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetwork } from "../../../src/address.ts";
import { check } from "../../../src/commands/check.ts";
import { address, authorization, MINUTE, NOW } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const network = parseNetwork("192.168.0.0/16");
assert.ok(network !== undefined);
const config = { lifetime: 30 * MINUTE, exclude: [network] };

async function checked(text: string, rows = [authorization()], ahead = 0) {
  const terminal = recorder();
  const context = { terminal, now: () => NOW };
  const answer = await check(memoryStore(rows, ahead), config, address(text), context);
  return [answer, ...terminal.printed];
}

test("an authorized address: until when, and by whom", async () => {
  assert.deepEqual(await checked("192.0.2.1"), [
    true,
    "192.0.2.1 may relay until 2026-03-03 10:20:00 (20m left): last login of bob@example.org (imap)",
  ]);
});

test("the end is told by this host's clock, though the store's is ahead", async () => {
  assert.deepEqual(await checked("192.0.2.1", [authorization({ user: "" })], 5 * MINUTE), [
    true,
    "192.0.2.1 may relay until 2026-03-03 10:15:00 (15m left): last login (imap)",
  ]);
});

test("what a mapped table does not know is not told", async () => {
  const row = authorization({ user: undefined, service: undefined });
  assert.deepEqual(await checked("192.0.2.1", [row]), [
    true,
    "192.0.2.1 may relay until 2026-03-03 10:20:00 (20m left)",
  ]);
});

test("an address without login, or whose login was revoked", async () => {
  assert.deepEqual(await checked("192.0.2.10"), [
    false,
    "192.0.2.10 may not relay: no login in the last 30m, or it was revoked",
  ]);
});

test("an excluded address: why its logins do not count", async () => {
  assert.deepEqual(await checked("192.168.7.7"), [
    false,
    "192.168.7.7 is in exclude (192.168.0.0/16): its logins are not recorded, so only Postfix's mynetworks can let it relay",
  ]);
});
