import assert from "node:assert/strict";
import { test } from "node:test";
import { loginClock } from "../../../src/login/login.ts";

test("logins of one millisecond have times a microsecond apart", () => {
  const clock = loginClock(() => 1_772_000_000_000);
  const times = Array.from({ length: 1_000 }, () => Math.round(clock() * 1_000));
  assert.deepEqual(
    times,
    Array.from({ length: 1_000 }, (_, index) => 1_772_000_000_000_000 + index),
  );
});

test("a clock that is set back is obeyed", () => {
  const readings = [5_000, 5_000, 4_000, 4_001];
  const clock = loginClock(() => readings.shift() ?? NaN);
  assert.deepEqual([clock(), clock(), clock(), clock()], [5_000, 5_000.001, 4_000, 4_001]);
});
