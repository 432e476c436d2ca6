import assert from "node:assert/strict";
import { test } from "node:test";
import {
  dovecot1Lines,
  dovecotServiceLines,
  dovecotSocketLines,
  dovecotWrapperLines,
} from "../../../src/setup/print-dovecot.ts";

const PROGRAM = ["/usr/bin/popbsmtp", "--config", "/etc/mail/popbsmtp.toml"];

function settings(lines: readonly string[]): string {
  return lines.filter((line) => !line.trimStart().startsWith("#")).join("\n");
}

test("Dovecot runs one daemon as root, without a limit to its address space, and reports logins to it", () => {
  assert.equal(
    settings(dovecotServiceLines(PROGRAM, "popbsmtp")),
    `service popbsmtp {
  executable = /usr/bin/popbsmtp --config /etc/mail/popbsmtp.toml serve
  user = root
  vsz_limit = 1T
  client_limit = 1000
  process_limit = 1
  process_min_avail = 1
  unix_listener popbsmtp-imap {
  }
  unix_listener popbsmtp-pop3 {
  }
}
service imap {
  executable = imap popbsmtp-imap
}
service pop3 {
  executable = pop3 popbsmtp-pop3
}`,
  );
});

test("if systemd runs the daemon, Dovecot uses the existing sockets", () => {
  const imap = { path: "/run/popbsmtp/imap" };
  assert.equal(
    settings(dovecotSocketLines({ imap, pop3: undefined })),
    "service imap {\n  executable = imap /run/popbsmtp/imap\n}",
  );
});

test("a path that Dovecot would split or expand is rejected", () => {
  const program = ["/opt/my mail/popbsmtp"];
  for (const lines of [dovecotServiceLines, dovecotWrapperLines]) {
    assert.throws(() => lines(program, "popbsmtp"), { exitStatus: 78 });
  }
  assert.throws(() => dovecot1Lines(program), { exitStatus: 78 });
  assert.throws(() => dovecotSocketLines({ imap: { path: "/run/$x" }, pop3: undefined }), {
    exitStatus: 78,
  });
});
