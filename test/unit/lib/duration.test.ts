import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "../../../src/lib/duration.ts";

const spellings = {
  "30m": 1_800_000,
  "90s": 90_000,
  "1h": 3_600_000,
  "1500ms": 1500,
  "1h30m": 5_400_000,
  "7d": 604_800_000,
  "0s": 0,
};

for (const [text, milliseconds] of Object.entries(spellings)) {
  test(`${text} is ${milliseconds} ms`, () => assert.equal(parseDuration(text), milliseconds));
}

for (const text of [
  "",
  "30",
  "30 m",
  "m",
  "-1s",
  "1.5h",
  "30m1h",
  "1h1h",
  "1s ",
  "1w",
  "99999999999999999d",
]) {
  test(`${JSON.stringify(text)} is not a duration`, () =>
    assert.equal(parseDuration(text), undefined));
}

test("a duration is printed with its largest units first", () => {
  assert.equal(formatDuration(5_400_000), "1h30m");
  assert.equal(formatDuration(1500), "1s500ms");
  assert.equal(formatDuration(604_800_000), "7d");
  assert.equal(formatDuration(0), "0s");
});
