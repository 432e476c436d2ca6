import assert from "node:assert/strict";
import { test } from "node:test";
import {
  groupName,
  octal,
  popbsmtp,
  shellWord,
  span,
  userName,
} from "../../../../src/doctor/findings/words.ts";

test("a word for the shell is quoted if necessary", () => {
  assert.equal(shellWord("/etc/postfix/popbsmtp.cf"), "/etc/postfix/popbsmtp.cf");
  assert.equal(shellWord("/a b/$(x)"), "'/a b/$(x)'");
  assert.equal(shellWord("it's"), String.raw`'it'\''s'`);
  assert.equal(shellWord(""), "''");
});

test("the command names the configuration unless it is the default", () => {
  assert.equal(popbsmtp({ path: undefined }), "popbsmtp");
  assert.equal(popbsmtp({ path: "/a b" }), "popbsmtp --config '/a b'");
});

test("accounts are shown by name, or by number if they have none", () => {
  assert.equal(userName(0), "root");
  assert.equal(groupName(0), "root");
  assert.equal(userName(3_999_999), "3999999");
});

test("modes and durations are printed for people", () => {
  assert.equal(octal(0o100640), "0640");
  assert.deepEqual([1_400, 600_000, 7_200_000, 259_200_000].map(span), [
    "1 s",
    "10 min",
    "2 h",
    "3 days",
  ]);
});
