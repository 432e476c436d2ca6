/** The real logrotate, again and again, while a mail server writes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { install, type Installation, type Row } from "../support/installation.ts";
import { writeLog } from "../support/mail-log.ts";
import { runOk } from "../support/run.ts";
import { waitUntil } from "../support/wait-until.ts";
import { startWatch } from "../support/watch.ts";

/** Rotates the log now, as often as it is called. */
function logrotate(box: Installation, log: string, how: string): () => Promise<void> {
  const config = join(box.directory, "logrotate.conf");
  writeFileSync(config, `"${log}" {\n  rotate 100\n  nocompress\n  ${how}\n}\n`, { mode: 0o644 });
  const state = join(box.directory, "logrotate.state");
  return async () => {
    await runOk("logrotate", ["--force", "--state", state, config]);
  };
}

/** The users whose login is in the log or in what it has become. */
function survivors({ directory }: Installation): ReadonlySet<string> {
  const logs = readdirSync(directory).filter((name) => name.startsWith("mail.log"));
  const text = logs.map((name) => readFileSync(join(directory, name), "utf8")).join("");
  return new Set(Array.from(text.matchAll(/ Login: user=<(u\d+)>/g), ([, user = ""]) => user));
}

function assertEachOnce(expected: ReadonlySet<string>, rows: readonly Row[]): void {
  const users = new Set(rows.map(({ user }) => user));
  const missing = [...expected].filter((user) => !users.has(user));
  assert.deepEqual(missing, []);
  assert.deepEqual(new Set(rows.map(({ logins }) => logins)), new Set([1]));
}

const TURNS = 8;

for (const [how, options] of [
  ["create", "create 0644 root root"],
  ["copytruncate", "copytruncate"],
] as const) {
  test(`with ${how}, each login is recorded once`, async () => {
    await using box = await install("sqlite");
    const log = join(box.directory, "mail.log");
    const rotate = logrotate(box, log, options);
    const writer = writeLog(log);
    await using watch = startWatch(box, log);
    for (let turn = 0; turn < TURNS; turn++) {
      const { users } = writer;
      await waitUntil("logins to go on", () => writer.users > users + 20);
      await rotate();
      // as postrotate has it: until here it has written to the old one
      writer.reopen();
    }
    await writer.stop();
    const expected = survivors(box);
    // what is written between copy and truncation is lost, says logrotate(8): but for those who have read it
    assert.equal(how === "create" ? expected.size : writer.users, writer.users);
    await waitUntil(
      "all logins to be recorded",
      async () => {
        assertEachOnce(expected, await box.rows());
        return true;
      },
      { timeout: 20_000, interval: 200 },
    );
    assert.equal(watch.log(), "");
  });

  test(`with ${how}, what was rotated while nobody watched is read, and once`, async () => {
    await using box = await install("sqlite");
    const log = join(box.directory, "mail.log");
    const rotate = logrotate(box, log, options);
    const writer = writeLog(log);
    for (let turn = 0; turn < TURNS; turn++) {
      const { users } = writer;
      await waitUntil("logins to go on", () => writer.users > users + 20);
      await rotate();
      writer.reopen();
      if (turn % 2 === 0) await box.popbsmtp("watch", "--once", log);
    }
    await writer.stop();
    await box.popbsmtp("watch", "--once", log);
    const rows = await box.rows();
    assertEachOnce(survivors(box), rows);
  });
}
