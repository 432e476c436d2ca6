import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dovecot1Findings } from "../../../../src/doctor/dovecot/dovecot-1.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { subject } from "../findings/subject.ts";

test("Dovecot 1 is right if it runs popbsmtp before imap and pop3", async () => {
  await using directory = temporaryDirectory();
  const program = join(directory.path, "popbsmtp");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  const text = `# 1.2.15: /etc/dovecot/dovecot.conf
mail_executable(default): ${program} /usr/lib/dovecot/imap
mail_executable(imap): ${program} /usr/lib/dovecot/imap
mail_executable(pop3): ${program} /usr/lib/dovecot/pop3
mail_process_size: 0
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
  assert.match(bare?.text ?? "", /not told which program to run/);
  assert.equal(bare?.advice[1], `  mail_executable = ${program} /usr/lib/dovecot/imap`);
});

test("under mail_process_size, a daemon or cron has to drain", () => {
  const wrapper = (options = "") =>
    ["imap", "pop3"]
      .map(
        (name) =>
          `mail_executable(${name}): /bin/true/popbsmtp ${options}/usr/lib/dovecot/${name}\n`,
      )
      .join("");
  const said = (text: string, daemon?: number) =>
    dovecot1Findings(text, { ...subject, daemon })
      .filter(({ text: found }) => /mail_process_size/.test(found))
      .map(({ level, text: found, advice }) => [level, found, ...advice]);
  const words = (size: number) => [
    [
      "problem",
      `logins stay in the spool: no drain starts in the ${size} MB of mail_process_size, and popbsmtp serve does not run`,
      "popbsmtp serve    # best: beside Dovecot, for instance with popbsmtp print systemd",
      "mail_process_size = 0    # or this, in dovecot.conf",
      "popbsmtp print dovecot 1    # or a drain from cron: these lines say how",
    ],
  ];
  assert.deepEqual(said(wrapper()), words(256));
  assert.deepEqual(said(`${wrapper()}mail_process_size: 512\n`), words(512));
  assert.deepEqual(said(`${wrapper()}mail_process_size: 0\n`), []);
  assert.deepEqual(said(wrapper("--no-drain ")), []);
  assert.deepEqual(said(wrapper(), 4711), []);
});

test("Dovecot 1 must start the wrapper as root", () => {
  const text = "mail_executable: /bin/popbsmtp /usr/lib/dovecot/imap\nmail_process_size: 0\n";
  const last = (more: string) => dovecot1Findings(`${text}${more}`, subject).at(-1)?.text ?? "";
  assert.match(last("mail_drop_priv_before_exec: yes\n"), /^no login is recorded: /);
  assert.doesNotMatch(last(""), /mail_drop_priv/);
});

test("for Dovecot 1 without popbsmtp the advice is print dovecot 1", () => {
  const [finding] = dovecot1Findings("mail_executable: /usr/lib/dovecot/imap", subject);
  assert.equal(finding?.level, "warning");
  assert.match(finding?.advice[0] ?? "", /^popbsmtp print dovecot 1/);
});
