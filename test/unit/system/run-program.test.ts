import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runProgram } from "../../../src/system/run-program.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

describe("a program", () => {
  it("that succeeds has its output as the result", async () => {
    const result = await runProgram("sh", ["-c", 'echo "$0 $LC_ALL"; pwd', "a b"]);
    assert.deepEqual(result, { ok: true, stdout: "a b C\n/\n", complaint: "" });
  });

  it("that fails has the last line of its complaint as the reason, if it makes one", async () => {
    const result = await runProgram("sh", ["-c", "echo one >&2; echo two >&2; exit 1"]);
    assert.deepEqual(result, { ok: false, stdout: "", complaint: "two" });
    assert.deepEqual(await runProgram("false", []), { ok: false, stdout: "", complaint: "" });
  });

  it("is given the variables that it is to have, and no others", async () => {
    const env = { PATH: "/usr/bin:/bin", GREETING: "hello" };
    const result = await runProgram("env", [], { env });
    assert.deepEqual(result?.stdout.trim().split("\n").toSorted(), [
      "GREETING=hello",
      "LC_ALL=C",
      "PATH=/usr/bin:/bin",
    ]);
  });

  it("that is not installed has no result", async () => {
    assert.equal(await runProgram("popbsmtp-is-not-installed", []), undefined);
  });

  it("that cannot be started says why", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "program");
    writeFileSync(path, "no program");
    chmodSync(path, 0o644);
    const result = await runProgram(path, []);
    assert.equal(result?.ok, false);
    assert.match(result.complaint, /EACCES/);
  });
});
