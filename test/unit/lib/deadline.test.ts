import assert from "node:assert/strict";
import { test } from "node:test";
import { withDeadline } from "../../../src/lib/deadline.ts";

const never = new Promise<never>(() => undefined);

test("work that finishes in time settles the result, whether it succeeds or fails", async () => {
  assert.equal(await withDeadline(Promise.resolve("done"), 60_000), "done");
  await assert.rejects(
    withDeadline(Promise.reject(new Error("broken")), 60_000),
    /^Error: broken$/,
  );
});

test("work that is late fails with an error that names the time", async () => {
  await assert.rejects(withDeadline(never, 20), /^Error: no answer within 0\.02 s$/);
});

test("work that is late settles with the caller's result or error", async () => {
  assert.equal(await withDeadline(never, 1, () => "late"), "late");
  const refuse = () => {
    throw new TypeError("late");
  };
  await assert.rejects(withDeadline(never, 1, refuse), TypeError);
});

test("work that fails after its deadline causes no unhandled rejection", async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  assert.equal(await withDeadline(promise, 1, () => "late"), "late");
  reject(new Error("too late"));
  await new Promise(setImmediate);
});

test("no timer is left behind", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let isLate = false;
  await withDeadline(Promise.resolve(), 100, () => (isLate = true));
  t.mock.timers.tick(100);
  await new Promise(setImmediate);
  assert.equal(isLate, false);
});
