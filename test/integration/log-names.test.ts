/**
 * Users with names made to be taken for something else, in the log that Dovecot really writes of
 * them.
 */
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { Formats } from "../../src/mail-formats/formats.ts";
import { Fragments } from "../../src/mail-formats/fragments.ts";
import { parseLine } from "../../src/sources/mail-log/line.ts";
import { startDovecot } from "../support/dovecot.ts";
import { waitUntil } from "../support/wait-until.ts";
import { hostileNames, sanitized } from "../unit/sources/mail-log/hostile-names.ts";

/** What every user may be called: what a client can send, and Dovecot takes. */
const NAMES = hostileNames(400)
  .filter((name) => name.length < 255 && isUtf8(name) && !name.includes(0))
  .slice(0, 100);

test("they are logged as expected, and authorize no address but their own", async () => {
  await using dovecot = await startDovecot();
  for (const [index, name] of NAMES.entries()) {
    using imap = await dovecot.imap({ from: addressOf(index) });
    await imap.login(name.toString(), dovecot.password);
    await imap.logout();
  }
  const ended = () => dovecot.log().split("Disconnected: Logged out").length - 1;
  await waitUntil("Dovecot to have logged all", () => ended() >= NAMES.length);
  const lines = dovecot.log().split("\n");
  for (const [index, name] of NAMES.entries()) {
    const before = `imap-login: Info: Login: user=<${sanitized(name).toString()}>, method=PLAIN`;
    const own = `${before}, rip=${addressOf(index)}, lip=127.0.0.1, mpid=`;
    assert.ok(
      lines.some((line) => line.includes(own)),
      own,
    );
  }

  const context = {
    formats: Formats.named("auto"),
    fragments: new Fragments(),
    now: Date.now(),
  };
  const results = lines.map((line) => parseLine(Buffer.from(line), context));
  const logins = results.flatMap((result) => (result.kind === "login" ? [result.login] : []));
  for (const { address, user, service } of logins) {
    const index = NAMES.findIndex((_, candidate) => addressOf(candidate) === address);
    assert.deepEqual([service, user], ["imap", sanitized(NAMES[index] ?? Buffer.of()).toString()]);
  }
  const refused = results.filter(({ kind }) => kind === "refused");
  assert.equal(logins.length + refused.length, NAMES.length);
  assert.ok(logins.length > 0 && refused.length > 0);
});

function addressOf(index: number): string {
  return `127.0.2.${String(index + 1)}`;
}
