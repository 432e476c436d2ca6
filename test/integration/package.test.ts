import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import manifest from "../../package.json" with { type: "json" };
import { PLAIN_ENV, runOk } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const CHECKOUT = join(import.meta.dirname, "../..");

test("the npm package installs from its tarball alone, and its program runs", async () => {
  await using directory = temporaryDirectory();
  const env = { ...PLAIN_ENV, HOME: directory.path, npm_config_update_notifier: "false" };
  // without prepack: the tests have built the program
  const options = ["--ignore-scripts", "--pack-destination", directory.path];
  await runOk("npm", ["pack", ...options], { cwd: CHECKOUT, env });
  const tarball = join(directory.path, `${manifest.name}-${manifest.version}.tgz`);

  const prefix = join(directory.path, "prefix");
  await runOk("npm", ["install", "--global", "--offline", "--prefix", prefix, tarball], { env });

  const program = join(prefix, "bin/popbsmtp");
  assert.equal(await runOk(program, ["--version"]), `${manifest.version}\n`);
  assert.match(await runOk(program, ["print", "postfix"]), /smtpd_relay_restrictions/);
  for (const page of ["man8/popbsmtp.8", "man5/popbsmtp.toml.5"]) {
    assert.ok(existsSync(join(prefix, "share/man", page)), page);
  }
  // as a wrapper; without an address in the environment it records nothing
  assert.equal(await runOk(program, ["--no-wait", "/bin/echo", "mail"]), "mail\n");
});
