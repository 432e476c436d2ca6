import assert from "node:assert/strict";
import { test } from "node:test";
import { plainWords } from "../../../src/setup/plain-words.ts";

test("words that need no quotes are joined", () => {
  assert.equal(
    plainWords(["/usr/bin/popbsmtp", "--config", "/etc/mail-1/pop_bsmtp.toml"]),
    "/usr/bin/popbsmtp --config /etc/mail-1/pop_bsmtp.toml",
  );
});

for (const word of [
  "/opt/my mail/x",
  "/opt/$HOME",
  "/opt/50%",
  "/opt/#1",
  "/opt/'x'",
  "/opt/x\n",
  "",
]) {
  test(`${JSON.stringify(word)} is rejected: Dovecot and cron have no quotes`, () => {
    assert.throws(() => plainWords([word]), { exitStatus: 78, message: /use a path of letters/ });
  });
}
