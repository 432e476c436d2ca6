import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetwork } from "../../../src/login/address.ts";
import { allow } from "../../../src/commands/allow-command.ts";
import { address, MINUTE, NOW } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const network = parseNetwork("192.168.0.0/16");
assert.ok(network !== undefined);
const config = { lifetime: 30 * MINUTE, exclude: [network] };

test("a login is recorded now, and its end is printed", async () => {
  const store = memoryStore();
  const terminal = recorder();
  const context = { terminal, now: () => NOW };
  await allow(store, config, { address: address("192.0.2.1"), user: "bob" }, context);
  assert.deepEqual(store.recorded, [
    { address: "192.0.2.1", user: "bob", service: "allow", time: NOW },
  ]);
  assert.deepEqual(terminal.printed, ["192.0.2.1 may relay until 2026-03-03 10:30:00 (30m)"]);
});

test("an excluded address is rejected, with what to do instead", async () => {
  const store = memoryStore();
  const context = { terminal: recorder(), now: () => NOW };
  await assert.rejects(
    allow(store, config, { address: address("192.168.1.1"), user: "" }, context),
    {
      exitStatus: 65,
      message:
        "192.168.1.1: is in exclude (192.168.0.0/16), whose logins are not recorded; put the address in Postfix's mynetworks, or change exclude",
    },
  );
  assert.deepEqual(store.recorded, []);
});

test("a user name has to fit into a store", async () => {
  const context = { terminal: recorder(), now: () => NOW };
  const who = { address: address("192.0.2.1"), user: "é".repeat(128) };
  await assert.rejects(allow(memoryStore(), config, who, context), {
    exitStatus: 65,
    message: "--user: longer than 255 bytes",
  });
});
