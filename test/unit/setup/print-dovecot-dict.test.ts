import assert from "node:assert/strict";
import { test } from "node:test";
import { DOVECOT_RELEASES } from "../../../src/dovecot/release.ts";
import { dovecotDictLines, dovecotDictSocketLines } from "../../../src/setup/print-dovecot-dict.ts";

const PROGRAM = ["/usr/bin/popbsmtp"];

const SERVICE = `service popbsmtp {
  executable = /usr/bin/popbsmtp serve
  user = root
  vsz_limit = 1T
  client_limit = 1000
  process_limit = 1
  process_min_avail = 1
  unix_listener popbsmtp-dict {
    mode = 0660
    group = dovecot
  }
}
`;

const PLUGIN = `protocol imap {
  mail_plugins = $mail_plugins last_login
}
protocol pop3 {
  mail_plugins = $mail_plugins last_login
}
plugin {
  last_login_dict = proxy:popbsmtp-dict:popbsmtp
  last_login_key = popbsmtp/%s/%r/%u
  last_login_precision = us
}`;

const PLUGIN_OF_2_4 = `protocol imap {
  mail_plugins {
    last_login = yes
  }
}
protocol pop3 {
  mail_plugins {
    last_login = yes
  }
}
last_login {
  dict proxy {
    name = popbsmtp
    socket_path = popbsmtp-dict
  }
}
last_login_key = popbsmtp/%{protocol}/%{remote_ip}/%{user}
last_login_precision = us`;

const IN_GROUP = `
service imap {
  extra_groups = dovecot
}
service pop3 {
  extra_groups = dovecot
}`;

const EXPECTED = {
  "2.2": SERVICE + PLUGIN + IN_GROUP,
  "2.3": SERVICE + PLUGIN,
  "2.4": SERVICE + PLUGIN_OF_2_4,
};

function settings(lines: readonly string[]): string {
  return lines.filter((line) => !line.trimStart().startsWith("#")).join("\n");
}

for (const release of DOVECOT_RELEASES) {
  test(`Dovecot ${release} runs the daemon, and its plugin reports logins to it`, () => {
    const lines = dovecotDictLines(PROGRAM, "popbsmtp", { release, group: "dovecot" });
    assert.equal(settings(lines), EXPECTED[release]);
    assert.deepEqual(
      lines.filter((line) => line.length > 120),
      [],
    );
  });
}

test("if systemd holds the socket, the plugin uses its path", () => {
  const socket = { path: "/run/popbsmtp/dict" };
  const form = { release: "2.3", group: "dovecot" } as const;
  assert.equal(
    settings(dovecotDictSocketLines(socket, form)),
    PLUGIN.replace("popbsmtp-dict", socket.path),
  );
  const of2_4 = dovecotDictSocketLines(socket, { ...form, release: "2.4" });
  assert.equal(settings(of2_4), PLUGIN_OF_2_4.replace("popbsmtp-dict", socket.path));
});

test("a socket that Dovecot cannot name is rejected", () => {
  const form = { release: "2.3", group: "dovecot" } as const;
  for (const path of ["/run/a:b/dict", "/run/%u/dict", "/run/a b"]) {
    assert.throws(() => dovecotDictSocketLines({ path }, form), { exitStatus: 78 });
  }
  assert.throws(() => dovecotDictSocketLines(undefined, form), {
    exitStatus: 78,
    message: "serve.dict: the daemon has no socket for it",
  });
});
