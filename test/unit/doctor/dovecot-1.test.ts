import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dovecot1Findings } from "../../../src/doctor/dovecot-1.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { subject } from "./subject.ts";

test("Dovecot 1 that runs popbsmtp in front of imap and pop3 is right", async () => {
  await using directory = temporaryDirectory();
  const program = join(directory.path, "popbsmtp");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  const text = `# 1.2.15: /etc/dovecot/dovecot.conf
mail_executable(default): ${program} /usr/lib/dovecot/imap
mail_executable(imap): ${program} /usr/lib/dovecot/imap
mail_executable(pop3): ${program} /usr/lib/dovecot/pop3
`;
  assert.deepEqual(
    dovecot1Findings(text, { ...subject, program }).map((finding) => finding.text),
    [`imap: each login runs ${program}`, `pop3: each login runs ${program}`],
  );
  const [other] = dovecot1Findings(
    text.replace(
      `${program} /usr/lib/dovecot/imap\nmail_executable(pop3)`,
      "/usr/lib/dovecot/imap\nmail_executable(pop3)",
    ),
    { ...subject, program },
  );
  assert.deepEqual(other, {
    level: "problem",
    text: "imap: no login is recorded: popbsmtp does not run after it",
    advice: ["protocol imap {", `  mail_executable = ${program} /usr/lib/dovecot/imap`, "}"],
  });
  const [bare] = dovecot1Findings(`mail_executable: ${program}`, { ...subject, program });
  assert.match(bare?.text ?? "", /not told which program to become/);
  assert.equal(bare?.advice[1], `  mail_executable = ${program} /usr/lib/dovecot/imap`);
});

test("Dovecot 1 without popbsmtp is told of print dovecot 1", () => {
  const [finding] = dovecot1Findings("mail_executable: /usr/lib/dovecot/imap", subject);
  assert.equal(finding?.level, "warning");
  assert.match(finding?.advice[0] ?? "", /^popbsmtp print dovecot 1/);
});
