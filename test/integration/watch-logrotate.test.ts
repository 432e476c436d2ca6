/** The real logrotate, again and again, while a mail server writes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import type { Row } from "../support/tables.ts";
import { writeLog } from "../support/mail-log.ts";
import { run, runOk } from "../support/run.ts";
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

/** @param told what was written to stderr: only what was refused */
function assertEachOnce(expected: ReadonlySet<string>, rows: readonly Row[], told: string): void {
  const refused = told.split("\n").filter((line) => line !== "");
  const refusedUsers = refused.map((line) => {
    const [, user = ""] =
      /a login does not count, it may be a fragment of a longer message.* user=<(u\d+)>/.exec(
        line,
      ) ?? [];
    assert.notEqual(user, "", line);
    return user;
  });
  const users = new Set([...rows.map(({ user }) => user), ...refusedUsers]);
  assert.deepEqual(
    [...expected].filter((user) => !users.has(user)),
    [],
  );
  assert.deepEqual(new Set(rows.map(({ logins }) => logins)), new Set([1]));
}

/**
 * After a truncation, and at the very first, a line may be the rest of one that nobody has read.
 */
function assertRefused(told: string, how: string): void {
  const most = how === "create" ? 1 : TURNS + 1;
  assert.ok(told.split("\n").length - 1 <= most, told);
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
    // what is written between copy and truncation is lost, says logrotate(8): but for those who
    // have read it
    assert.equal(how === "create" ? expected.size : writer.users, writer.users);
    await waitUntil(
      "all logins to be recorded",
      async () => {
        assertEachOnce(expected, await box.rows(), watch.log());
        return true;
      },
      { timeout: 20_000, interval: 200 },
    );
    assertRefused(watch.log(), how);
  });

  test(`with ${how}, what was rotated while nobody watched is read, and once`, async () => {
    await using box = await install("sqlite");
    const log = join(box.directory, "mail.log");
    const rotate = logrotate(box, log, options);
    const writer = writeLog(log);
    let told = "";
    const readOn = async () => {
      const { stderr } = await run(box.program, ["--config", box.config, "watch", "--once", log]);
      told += stderr.toString();
    };
    for (let turn = 0; turn < TURNS; turn++) {
      const { users } = writer;
      await waitUntil("logins to go on", () => writer.users > users + 20);
      await rotate();
      writer.reopen();
      if (turn % 2 === 0) await readOn();
    }
    await writer.stop();
    await readOn();
    assertEachOnce(survivors(box), await box.rows(), told);
    assertRefused(told, how);
  });
}
