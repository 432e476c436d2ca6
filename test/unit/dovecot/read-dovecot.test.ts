import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import {
  addressSpace,
  listenerOf,
  parseDoveconf,
  settingOf,
} from "../../../src/dovecot/doveconf.ts";
import {
  lastLoginSocket,
  pluginsOf,
  protocolsOf,
  readDovecot,
  readLastLoginKey,
  type InstalledDovecot,
} from "../../../src/dovecot/read-dovecot.ts";
import { fakeDoveconf, type FakeDoveconf, type Printed } from "../../support/doveconf.ts";

async function installed({ program }: FakeDoveconf): Promise<InstalledDovecot> {
  assert.ok(existsSync(program));
  const dovecot = await readDovecot(undefined);
  assert.ok(typeof dovecot === "object");
  return dovecot;
}

function configured(text: string, release: "2.3" | "2.4"): InstalledDovecot {
  return { version: release, release, configFile: undefined, root: parseDoveconf(text) };
}

test("of Dovecot 2.4, defaults are asked by name", async () => {
  await using doveconf = fakeDoveconf("wrapper");
  const { version, release, root } = await installed(doveconf);
  assert.equal(version, "2.4.1-4");
  assert.equal(release, "2.4");
  assert.match(root.settings.get("base_dir") ?? "", /\/run$/);
  const unlimited = { name: "service x", settings: new Map<string, string>(), sections: [] };
  assert.equal(addressSpace(root, unlimited), 256 * 1024 * 1024);
});

test("a setting of Dovecot 2.4 that refers to a default has its value", async () => {
  await using doveconf = fakeDoveconf("wrapper", (text) =>
    text.replace("user = popbsmtp", "user = $SET:default_internal_user"),
  );
  const { root } = await installed(doveconf);
  const service = listenerOf(root, "imap-postlogin") ?? root;
  assert.equal(settingOf(root, service, "user"), "dovecot");
});

test("a configuration that doveconf cannot read is explained", async () => {
  await using doveconf = fakeDoveconf("dict");
  await installed(doveconf);
  assert.equal(await readDovecot("/x"), "doveconf: Fatal: -c /x");
});

for (const form of ["dict", "dict-systemd", "post-login", "wrapper"] satisfies Printed[]) {
  test(`the protocols of Dovecot 2.4 are known: ${form}`, async () => {
    await using doveconf = fakeDoveconf(form);
    assert.deepEqual(protocolsOf(await installed(doveconf)), ["imap", "pop3"]);
  });
}

test("the last_login plugin of Dovecot 2.4 is known, with its socket and key", async () => {
  await using doveconf = fakeDoveconf("dict");
  const dovecot = await installed(doveconf);
  for (const protocol of ["imap", "pop3"]) {
    assert.deepEqual(pluginsOf(dovecot, protocol), ["last_login"]);
    assert.equal(lastLoginSocket(dovecot, protocol), "popbsmtp-dict");
    assert.equal(
      await readLastLoginKey(dovecot, protocol),
      "popbsmtp/%{protocol}/%{remote_ip}/%{user}",
    );
  }
  assert.deepEqual(pluginsOf(dovecot, "lmtp"), []);
});

const lists = [
  ["protocols = imap lmtp\n", ["imap", "lmtp"]],
  ['protocols = " imap pop3"\n', ["imap", "pop3"]],
  ["protocols {\n  imap = yes\n  pop3 = no\n}\n", ["imap"]],
  ["protocols = \n", []],
  ["", []],
] as const;
for (const [text, protocols] of lists) {
  test(`protocols: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(protocolsOf(configured(text, "2.4")), protocols);
  });
}

const plugins = [
  ["mail_plugins = quota last_login\nprotocol imap {\n  mail_plugins = quota\n}\n", ["quota"]],
  [
    "mail_plugins = quota last_login\nprotocol imap {\n  mail_plugins {\n    last_login = no\n  }\n}\n",
    ["quota"],
  ],
  [
    "mail_plugins {\n  quota = yes\n}\nprotocol imap {\n  mail_plugins {\n    last_login = yes\n  }\n}\n",
    ["quota", "last_login"],
  ],
  ["protocol !lmtp {\n  mail_plugins {\n    last_login = yes\n  }\n}\n", ["last_login"]],
  ["protocol !imap {\n  mail_plugins {\n    last_login = yes\n  }\n}\n", []],
  ["protocol pop3 {\n  mail_plugins {\n    last_login = yes\n  }\n}\n", []],
] as const;
for (const [text, expected] of plugins) {
  test(`plugins of imap: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(pluginsOf(configured(text, "2.4"), "imap"), expected);
  });
}

const sockets = [
  [
    "last_login {\n  dict popb {\n    driver = proxy\n    proxy_name = popbsmtp\n    proxy_socket_path = a\n  }\n}\n",
    "a",
  ],
  [
    "last_login {\n  dict proxy {\n    socket_path = a\n  }\n}\nprotocol imap {\n  last_login {\n    dict proxy {\n      socket_path = b\n    }\n  }\n}\n",
    "b",
  ],
  ["last_login {\n  dict redis {\n    socket_path = a\n  }\n}\n", undefined],
  [
    "protocol pop3 {\n  last_login {\n    dict proxy {\n      socket_path = b\n    }\n  }\n}\n",
    undefined,
  ],
] as const;
for (const [text, socket] of sockets) {
  test(`the socket of last_login for imap: ${JSON.stringify(text)}`, () => {
    assert.equal(lastLoginSocket(configured(text, "2.4"), "imap"), socket);
  });
}

test("the last_login plugin of Dovecot 2.3 has its settings in a section plugin", () => {
  const dovecot = configured("plugin {\n  last_login_dict = proxy:/run/x:popbsmtp\n}\n", "2.3");
  assert.equal(lastLoginSocket(dovecot, "imap"), "/run/x");
});

test("a listener of Dovecot 2.4 may have a path other than its name", () => {
  const { root } = configured("service x {\n  unix_listener a {\n    path = b\n  }\n}\n", "2.4");
  assert.equal(listenerOf(root, "b")?.name, "service x");
  assert.equal(listenerOf(root, "a"), undefined);
});
