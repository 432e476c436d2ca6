/** What the daemon logs at level debug. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { install } from "../support/installation.ts";
import { askSocket, postLoginRequest, startServe } from "../support/serve.ts";

test('log-level = "debug" tells of each lookup and its answer, and of each batch; "info" does not', async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box);
  const ask = async (address: string) => {
    await askSocket(serve.imap, postLoginRequest("192.0.2.1", "bob"));
    const request = `request=smtpd_access_policy\nclient_address=${address}\n\n`;
    return askSocket(serve.policy, request);
  };
  const setLevel = async (level: string) => {
    const text = readFileSync(box.config, "utf8").replace(/^log-level = .*\n/m, "");
    writeFileSync(box.config, text.replace("[serve]\n", `[serve]\nlog-level = "${level}"\n`));
    assert.match(await serve.reload(), /reloaded/);
  };

  await ask("192.0.2.1");
  assert.doesNotMatch(serve.log(), / debug /);
  await setLevel("debug");
  await ask("192.0.2.1");
  await ask("2001:DB8::2");
  assert.match(serve.log(), / debug batch source=live logins=1 ms=\d+$/m);
  assert.match(
    serve.log(),
    / debug lookup protocol=policy address=192\.0\.2\.1 answer=authorized from=memory$/m,
  );
  assert.match(
    serve.log(),
    / debug lookup protocol=policy address=2001:db8::2 answer=unknown from=store$/m,
  );
  await setLevel("info");
  const { length } = serve.log();
  await ask("192.0.2.1");
  assert.doesNotMatch(serve.log().slice(length), / debug /);
});
