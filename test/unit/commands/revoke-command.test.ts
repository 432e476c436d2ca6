import assert from "node:assert/strict";
import { test } from "node:test";
import { revoke } from "../../../src/commands/revoke-command.ts";
import { address, authorization } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

test("the number of revoked authorizations, and whose, is printed", async () => {
  const terminal = recorder();
  const two = memoryStore([authorization(), authorization()]);
  const which = { address: address("192.0.2.1"), user: "bob\n" };
  assert.equal(await revoke(two, which, { terminal }), 2);
  assert.deepEqual(two.revocations, [which]);
  assert.equal(await revoke(memoryStore([authorization()]), { user: "bob" }, { terminal }), 1);
  assert.equal(await revoke(memoryStore(), { address: address("192.0.2.1") }, { terminal }), 0);
  assert.deepEqual(terminal.printed, [
    String.raw`192.0.2.1, user bob\u000a: 2 authorizations ended`,
    "user bob: 1 authorization ended",
    "192.0.2.1: no authorizations ended",
  ]);
});
