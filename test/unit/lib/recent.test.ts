import assert from "node:assert/strict";
import { test } from "node:test";
import { Recent } from "../../../src/lib/recent.ts";

test("the last keys set are kept, and at most twice as many", () => {
  const recent = new Recent<number>(10);
  for (let key = 0; key < 1_000; key++) {
    recent.set(`k${key}`, key);
    assert.ok(recent.size <= 20);
    for (let back = 0; back < Math.min(10, key + 1); back++) {
      assert.equal(recent.get(`k${key - back}`), key - back);
    }
  }
  assert.equal(recent.get("k0"), undefined);
});

test("a key that is set repeatedly stays once, with its last value", () => {
  const recent = new Recent<number>(10);
  for (let key = 0; key < 100; key++) {
    recent.set("kept", key);
    recent.set(`k${key}`, key);
    assert.equal(recent.get("kept"), key);
  }
  assert.ok(recent.size <= 20);
});

test("a deleted key is gone from either generation", () => {
  const recent = new Recent<number>(2);
  for (const key of ["a", "b", "c"]) recent.set(key, 1);
  recent.delete("a");
  recent.delete("c");
  assert.deepEqual(
    ["a", "b", "c"].map((key) => recent.get(key)),
    [undefined, 1, undefined],
  );
  assert.equal(recent.size, 1);
});
