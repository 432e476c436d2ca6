import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressSpace,
  listenerOf,
  parseDoveconf,
  settingOf,
} from "../../../src/dovecot/doveconf.ts";

const root = parseDoveconf(`# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
base_dir = /run/dovecot
default_internal_user = dovecot
default_vsz_limit = 256 M
namespace inbox {
  location =
}
service imap-postlogin {
  executable = script-login /usr/bin/popbsmtp --service imap
  unix_listener imap-postlogin {
    mode = 0600
  }
  user = $default_internal_user
  vsz_limit = 18446744073709551615 B
}
service other {
  unix_listener /run/x {
  }
}
protocol imap {
  mail_plugins = \\$mail_plugins imap_quota
}
`);

test("settings and sections are nested as doveconf prints them", () => {
  assert.equal(root.settings.get("base_dir"), "/run/dovecot");
  assert.deepEqual(
    root.sections.map(({ name }) => name),
    ["namespace inbox", "service imap-postlogin", "service other", "protocol imap"],
  );
  assert.equal(root.sections[0]?.settings.get("location"), "");
});

test("a service is found by its socket, relative or absolute", () => {
  assert.equal(listenerOf(root, "imap-postlogin")?.name, "service imap-postlogin");
  assert.equal(listenerOf(root, "/run/dovecot/imap-postlogin")?.name, "service imap-postlogin");
  assert.equal(listenerOf(root, "/run/x")?.name, "service other");
  assert.equal(listenerOf(root, "x"), undefined);
});

test("a setting that refers to another one has the value of that", () => {
  const service = listenerOf(root, "imap-postlogin") ?? root;
  assert.equal(settingOf(root, service, "user"), "dovecot");
  assert.equal(settingOf(root, service, "chroot"), "");
});

const MB = 1024 * 1024;
const limits = [
  ["18446744073709551615 B", 256 * MB],
  ["default", 256 * MB],
  ["0", undefined],
  ["0 B", undefined],
  ["unlimited", undefined],
  ["512 M", 512 * MB],
  ["2G", 2048 * MB],
  ["1048576 k", 1024 * MB],
  ["1000", 1000],
] as const;
for (const [text, bytes] of limits) {
  test(`vsz_limit = ${text}`, () => {
    const { settings } = parseDoveconf(`vsz_limit = ${text}`);
    assert.equal(addressSpace(root, { name: "service x", settings, sections: [] }), bytes);
  });
}

test("quotes of doveconf are removed", () => {
  const { settings } = parseDoveconf('protocols = " imap pop3"\n');
  assert.equal(settings.get("protocols"), "imap pop3");
});
