import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dovecotLine, journalLine, lineStyle, plainLine } from "../../../src/daemon/log-line.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

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

test("for anybody else there is the time, and the level as a word", () => {
  assert.equal(plainLine(now)("warning", "login"), "2026-03-03T10:00:01.042Z warning login\n");
});

test("under Dovecot's master lines are for its log process", () => {
  const style = lineStyle({ env: { LOG_SERVICE: "1" }, pid: 5, now });
  assert.equal(style("error", "e"), "\x01\x045 e\n");
});

test("lines are the journal's where stderr is what systemd connected to it, and only there", async () => {
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
