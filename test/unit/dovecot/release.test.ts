import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseOf } from "../../../src/dovecot/release.ts";

const versions = [
  ["2.4.1-4 (7d8c0e5759)", "2.4"],
  ["2.4.5", "2.4"],
  ["3.0.0", "2.4"],
  ["2.3.19.1 (9b53102964)", "2.3"],
  ["2.2.36", "2.2"],
  ["2.1.17", "2.2"],
  ["", "2.3"],
] as const;
for (const [version, release] of versions) {
  test(`Dovecot ${version} is configured as ${release}`, () => {
    assert.equal(releaseOf(version), release);
  });
}
