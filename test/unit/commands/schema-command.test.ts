import assert from "node:assert/strict";
import { test } from "node:test";
import { install } from "../../../src/commands/schema-command.ts";
import type { Installed } from "../../../src/stores/store.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const outcomes: readonly (readonly [string, Installed])[] = [
  ["schema version 2 installed", { from: 0, to: 2 }],
  ["upgraded from schema version 1 to 2", { from: 1, to: 2 }],
  ["schema version 2 is already installed", { from: 2, to: 2 }],
  ["made", { from: 0, to: undefined }],
  ["your own table; left unchanged", { from: undefined, to: undefined }],
];

for (const [words, installed] of outcomes) {
  test(`schema install says: ${words}`, async () => {
    const terminal = recorder();
    await install({ ...memoryStore(), install: async () => installed }, { terminal });
    assert.deepEqual(terminal.printed, [`memory: ${words}`]);
  });
}
