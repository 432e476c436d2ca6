import assert from "node:assert/strict";
import { test } from "node:test";
import { purge } from "../../../src/commands/purge-command.ts";
import { authorization, MINUTE } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const options = { olderThan: 30 * MINUTE, optimize: false };

test("a purge that works prints nothing for cron to mail", async () => {
  const terminal = recorder();
  const store = memoryStore([authorization()]);
  await purge(store, options, { terminal });
  assert.deepEqual([terminal.printed, terminal.noted], [[], []]);
  assert.equal(store.purges[0]?.olderThan, 30 * MINUTE);
  assert.equal(store.purges[0]?.optimize, false);
});

test("a person sees the progress, and in the end the number", async () => {
  const terminal = recorder({ interactive: true });
  await purge(memoryStore([authorization()]), options, { terminal });
  assert.deepEqual(terminal.shown, ["expired authorizations purged so far: 1000", ""]);
  assert.deepEqual(terminal.printed, ["expired authorizations purged: 1"]);
});
