/** What doctor says of Dovecot 2.4, which does not run. */
import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { test } from "node:test";
import { dovecotFindings } from "../../../../src/doctor/dovecot/dovecot-check.ts";
import { elementsFindings } from "../../../../src/doctor/dovecot/mail-log-check.ts";
import type { Finding } from "../../../../src/doctor/findings/finding.ts";
import { parseDoveconf } from "../../../../src/dovecot/doveconf.ts";
import { fakeDoveconf, type Printed } from "../../../support/doveconf.ts";
import { subject } from "../findings/subject.ts";

const config = { ...subject.config, user: "popbsmtp" };

async function findings(
  form: Printed,
  change?: (text: string) => string,
): Promise<readonly Finding[]> {
  await using doveconf = fakeDoveconf(form, change);
  return await dovecotFindings({ ...subject, config, program: doveconf.program });
}

/** What is wrong, other than that Dovecot does not run. */
async function faults(
  form: Printed,
  change?: (text: string) => string,
): Promise<readonly Finding[]> {
  const found = await findings(form, change);
  return found.filter(({ level, text }) => level !== "ok" && !text.startsWith("is not running"));
}

for (const form of ["dict", "dict-systemd", "post-login", "wrapper"] satisfies Printed[]) {
  test(`nothing is wrong with ${form}`, async () => {
    const found = await faults(form);
    // nothing listens at a socket of systemd's here
    if (form !== "dict-systemd") assert.deepEqual(found, []);
    const [version] = await findings(form);
    assert.equal(version?.text, "Dovecot 2.4.1-4");
  });
}

test("a Dovecot that is not running is reported", async () => {
  if (userInfo().uid !== 0) return;
  const found = await findings("dict");
  assert.equal(found[1]?.text, "is not running: nobody can read mail");
});

const mistakes: readonly (readonly [
  name: string,
  form: Printed,
  change: (text: string) => string,
  found: RegExp,
  advice: RegExp,
])[] = [
  [
    "the plugin is not loaded",
    "dict",
    (text) => text.replace(/^protocol pop3 \{[^]*?^\}\n/m, ""),
    /^pop3: no login is recorded: the effective mail_plugins/,
    /^protocol pop3 \{ .*\n {2}mail_plugins \{\n {4}last_login = yes\n {2}\}\n\}$/,
  ],
  [
    "the key is another program's",
    "dict",
    (text) => text.replace("popbsmtp/%{protocol}/%{remote_ip}/", "last-login/"),
    /^last_login_key is last-login\/%\{user\}: no login is recorded$/,
    /^last_login_key = popbsmtp\/%\{protocol\}\/%\{remote_ip\}\/%\{user\}$/,
  ],
  [
    "the key is missing",
    "dict",
    (text) => text.replace(/^ {2}key = popbsmtp.*\n/m, ""),
    /^last_login_key is not set: no login is recorded$/,
    /^last_login_key = /,
  ],
  [
    "the socket is open to all",
    "dict",
    (text) => text.replace("mode = 0660", "mode = 0666"),
    /any process that can connect to popbsmtp-dict can authorize any address/,
    /mode = 0660/,
  ],
  [
    "the socket has its default mode",
    "dict",
    (text) => text.replace(/^ +mode = 0660\n/m, ""),
    /mail processes cannot connect to popbsmtp-dict: no login is recorded/,
    /group = dovecot/,
  ],
  [
    "nothing listens on the socket",
    "dict",
    (text) => text.replace("unix_listener popbsmtp-dict", "unix_listener popbsmtp-other-dict"),
    /^imap: nothing listens on the socket popbsmtp-dict: no login is recorded$/,
    /print dovecot/,
  ],
  [
    "the default limit of memory",
    "post-login",
    (text) => text.replace("  vsz_limit = 1T\n", ""),
    /^service popbsmtp: does not start: vsz_limit is 256 MB/,
    /vsz_limit = 1T/,
  ],
  [
    "several processes",
    "post-login",
    (text) => text.replace("  process_limit = 1\n", ""),
    /more than one process may be started/,
    /process_limit = 1/,
  ],
  [
    "no listener of post-login",
    "post-login",
    (text) => text.replace("unix_listener popbsmtp-imap", "unix_listener x-imap"),
    /^imap: nothing listens on the socket popbsmtp-imap: every login is refused$/,
    /print dovecot/,
  ],
  [
    "only one protocol asks",
    "post-login",
    (text) => text.replace("  executable = pop3 popbsmtp-pop3\n", ""),
    /^pop3: no login is recorded: popbsmtp does not run after it$/,
    /print dovecot/,
  ],
  [
    "the wrapper's user",
    "wrapper",
    (text) => text.replace("user = popbsmtp", "user = $SET:default_internal_user"),
    /^imap: popbsmtp runs as dovecot, who may neither/,
    /user = popbsmtp/,
  ],
  [
    "the wrapper's limit",
    "wrapper",
    (text) => text.replace("  vsz_limit = 1T\n", ""),
    /^imap: logins cannot start a drain: vsz_limit is 256 MB/,
    /vsz_limit = 1T/,
  ],
  [
    "popbsmtp does not run",
    "wrapper",
    (text) => text.replace(/executable = (imap|pop3) .*/g, ""),
    /^does not run popbsmtp after a login$/,
    /print dovecot/,
  ],
];
for (const [name, form, change, found, advice] of mistakes) {
  test(`it is found that ${name}: ${form}`, async () => {
    const [first] = await faults(form, change);
    assert.match(first?.text ?? "", found);
    assert.match(first?.advice.join("\n") ?? "", advice);
  });
}

test("a Dovecot 2.4 without imap and pop3 needs no popbsmtp", async () => {
  const found = await findings("dict", (text) =>
    text.replace(/^ {2}(imap|pop3) = yes$/gm, "  $1 = no"),
  );
  assert.ok(found.some(({ text }) => text === "serves neither imap nor pop3"));
});

test("a watched Dovecot 2.4 that logs with the variables of older releases is reported", () => {
  const log = (release: "2.3" | "2.4", elements: string) =>
    elementsFindings({
      version: release,
      release,
      configFile: undefined,
      root: parseDoveconf(`login_log_format_elements = ${elements}\n`),
    });
  assert.match(log("2.4", "user=<%u> rip=%r")[0]?.text ?? "", /contains %u, a variable of older/);
  assert.deepEqual(log("2.4", "user=<%{user}> rip=%{remote_ip}"), []);
  assert.deepEqual(log("2.3", "user=<%u> rip=%r"), []);
});
