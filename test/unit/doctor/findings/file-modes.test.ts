import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configurationFile } from "../../../../src/doctor/findings/file-modes.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const { uid, gid } = userInfo();
const modes = [
  [0o600, true, "ok"],
  [0o640, true, "ok"],
  [0o644, true, "problem"],
  [0o644, false, "ok"],
  [0o666, false, "problem"],
  [0o602, true, "problem"],
] as const;
for (const [mode, secret, level] of modes) {
  test(`a file ${secret ? "with" : "without"} a secret, of mode ${mode.toString(8)}: ${level}`, async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "file");
    writeFileSync(path, "");
    chmodSync(path, mode);
    assert.equal(configurationFile(path, { secret, account: { uid, gid } })?.level, level);
  });
}

test("a missing file causes no finding", () => {
  assert.equal(configurationFile("/nosuch/file", { secret: true, account: undefined }), undefined);
});
