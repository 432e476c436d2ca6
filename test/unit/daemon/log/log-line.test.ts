import assert from "node:assert/strict";
import { chmodSync, closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  dovecotLine,
  journalLine,
  lineStyle,
  plainLine,
} from "../../../../src/daemon/log/log-line.ts";
import { startDovecot } from "../../../support/dovecot.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const LEVELS = ["debug", "info", "warning", "error"] as const;
const now = () => Date.UTC(2026, 2, 3, 10, 0, 1, 42);

test("for the journal the level is a syslog priority", () => {
  assert.deepEqual(
    LEVELS.map((level) => journalLine(level, "login")),
    ["<7>login\n", "<6>login\n", "<4>login\n", "<3>login\n"],
  );
});

test("for Dovecot's log process the level is a byte, and the process id follows", () => {
  assert.deepEqual(
    LEVELS.map((level) => dovecotLine(4711)(level, "login")),
    [
      "\x01\x014711 login\n",
      "\x01\x024711 login\n",
      "\x01\x034711 login\n",
      "\x01\x044711 login\n",
    ],
  );
});

test("for any other reader a line has the time, and the level as a word", () => {
  assert.equal(plainLine(now)("warning", "login"), "2026-03-03T10:00:01.042Z warning login\n");
});

test("under Dovecot's master lines are for its log process", () => {
  const style = lineStyle({ env: { LOG_SERVICE: "1" }, pid: 5, now });
  assert.equal(style("error", "e"), "\x01\x045 e\n");
});

test("lines have the journal's style only if stderr is connected to the journal", async () => {
  await using directory = temporaryDirectory();
  const [journal, other] = ["journal", "other"].map((name) =>
    openSync(join(directory.path, name), "w"),
  );
  assert.ok(journal !== undefined && other !== undefined);
  try {
    const { dev, ino } = fstatSync(journal);
    const env = { JOURNAL_STREAM: `${dev}:${ino}` };
    const line = (descriptor: number) => lineStyle({ env, pid: 5, now, descriptor })("info", "e");
    assert.equal(line(journal), "<6>e\n");
    assert.equal(line(other), "2026-03-03T10:00:01.042Z info e\n");
  } finally {
    closeSync(journal);
    closeSync(other);
  }
});

test("Dovecot writes the lines to its log with their level and popbsmtp's name", async () => {
  await using directory = temporaryDirectory({ mode: 0o755 });
  const program = join(directory.path, "program");
  const source = (name: string) =>
    JSON.stringify(import.meta.resolve(`../../../../src/daemon/log/${name}`));
  writeFileSync(
    `${program}.mjs`,
    `import { lineStyle } from ${source("log-line.ts")};
import { createLog } from ${source("log.ts")};
import { stderrWriter } from ${source("stderr.ts")};
const style = lineStyle({ env: process.env, pid: process.pid, now: Date.now });
const log = createLog({ level: "debug", style, write: stderrWriter() });
for (const level of ["info", "warning", "error"]) log[level]("login", { user: "a\\nb" });
setInterval(() => undefined, 1_000_000);
`,
  );
  writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${program}.mjs\n`);
  chmodSync(program, 0o755);
  await using dovecot = await startDovecot({
    config: `
service popbsmtp {
  executable = ${program}
  process_min_avail = 1
  vsz_limit = 0
  unix_listener popbsmtp-imap {
  }
}`,
  });
  await waitUntil("its log", () => dovecot.log().includes("popbsmtp: Error: "));
  for (const level of ["Info", "Warning", "Error"]) {
    assert.ok(dovecot.log().includes(`popbsmtp: ${level}: login user="a\\nb"\n`), dovecot.log());
  }
});
