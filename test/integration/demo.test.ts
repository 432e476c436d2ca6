import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PLAIN_ENV, run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("the demonstration does what it says, and leaves neither files nor processes behind", async () => {
  await using directory = temporaryDirectory();
  const temporary = join(directory.path, "tmp");
  mkdirSync(temporary);
  const demo = fileURLToPath(new URL("../../scripts/demo", import.meta.url));

  // what a mail server may have set before it was started from
  const env = { ...PLAIN_ENV, TMPDIR: temporary, AUTHENTICATED: "", DUMP_CAPABILITY: "1" };
  const { status, stdout, stderr } = await run("bash", [demo], { env, timeout: 60_000 });

  assert.equal(status, 0, `${stdout.toString()}${stderr.toString()}`);
  assert.match(stdout.toString(), /every step did what it says/);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(
    commandLines().filter((line) => line.includes(temporary)),
    [],
  );
});

function commandLines(): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
      } catch {
        // it has ended meanwhile
        return "";
      }
    });
}
