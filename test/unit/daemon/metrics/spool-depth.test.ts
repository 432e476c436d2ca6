import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { spoolDepth } from "../../../../src/daemon/metrics/spool-depth.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const NOW = 1_772_000_060_000;

test("only the logins in a spool are counted", async () => {
  await using spool = temporaryDirectory();
  for (const name of ["1772000000000000.7", "1772000030000000.8", ".lock", ".pid", "note"]) {
    writeFileSync(join(spool.path, name), "");
  }
  mkdirSync(join(spool.path, "bad"));
  assert.deepEqual(await spoolDepth(spool.path, NOW), { logins: 2, oldestSeconds: 60 });
});

test("an empty spool has no oldest login", async () => {
  await using spool = temporaryDirectory();
  assert.deepEqual(await spoolDepth(spool.path, NOW), { logins: 0, oldestSeconds: 0 });
});

test("a spool that is missing is not an empty one", async () => {
  assert.equal(await spoolDepth("/nonexistent/spool", NOW), undefined);
});
