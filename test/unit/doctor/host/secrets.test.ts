import assert from "node:assert/strict";
import { test } from "node:test";
import { findSecrets } from "../../../../src/doctor/host/secrets.ts";

test("password files are found in every section", () => {
  const toml =
    '[store]\npassword-file = "/a"\n[store.reader]\npassword-file = "/b"\nuser = "password"\n';
  assert.deepEqual(findSecrets(toml), { inline: false, files: ["/a", "/b"] });
});

test("a configuration that contains a password is a secret", () => {
  assert.equal(findSecrets('[store.purger]\npassword = "x"\n').inline, true);
});

test("a file that is not TOML counts as a secret", () => {
  assert.equal(findSecrets("password = ").inline, true);
  assert.deepEqual(findSecrets(""), { inline: false, files: [] });
});
