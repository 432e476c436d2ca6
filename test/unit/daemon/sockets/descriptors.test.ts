import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptorLimit, shareOf } from "../../../../src/daemon/sockets/descriptors.ts";

test("the limit is the soft one in /proc/PID/limits", () => {
  const limits = (soft: string) =>
    `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             63436                63436                processes \nMax open files            ${soft.padEnd(21)}1048576              files     \n`;
  assert.equal(descriptorLimit(limits("1024")), 1_024);
  assert.equal(descriptorLimit(limits("unlimited")), Infinity);
});

test("lookups get only a share of the descriptors, and logins have the rest", () => {
  for (const limit of [100, 256, 1_024, 65_536, Infinity]) {
    const { asking, metrics, drac } = shareOf(limit);
    assert.ok(asking >= 8 && metrics >= 2 && drac >= 2, String(limit));
    assert.ok(asking + metrics + drac <= (limit - 64) * 0.8, String(limit));
  }
  assert.deepEqual(shareOf(Infinity), { asking: 4_096, metrics: 32, drac: 256 });
  assert.deepEqual(shareOf(0), { asking: 8, metrics: 2, drac: 2 });
});
