import assert from "node:assert/strict";
import { readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import type { Log } from "../../../src/daemon/log/log.ts";
import { Problems, readProblems, writeProblems } from "../../../src/daemon/problems.ts";
import { runOk } from "../../support/run.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

it("problems are logged when they come and when they go, and not in between", () => {
  const lines: string[] = [];
  const note = (event: string, fields = {}) =>
    lines.push([event, ...Object.values(fields)].join(" "));
  const log: Log = { debug: note, info: note, warning: note, error: note };
  const problems = new Problems(log);
  const news = [
    problems.report([]),
    problems.report(["no spool", "no port"]),
    problems.report(["no port", "no spool"]),
    problems.report(["no port"]),
    problems.report(["no configuration"], "not-recording"),
    problems.report([]),
    problems.report([]),
  ];
  assert.deepEqual(news, [false, true, false, true, true, true, false]);
  assert.deepEqual(lines, [
    "problem no spool",
    "problem no port",
    "problem-over no spool",
    "problem-over no port",
    "not-recording no configuration",
    "problem-over no configuration",
  ]);
});

it("they are left in the spool for others to read, a line for each", async () => {
  await using directory = temporaryDirectory();
  assert.deepEqual(readProblems(directory.path), []);
  writeProblems(directory.path, ["no port", "no\nspool"]);
  assert.deepEqual(readProblems(directory.path), ["no port", "no spool"]);
  writeProblems(directory.path, ["no port"]);
  assert.deepEqual(readProblems(directory.path), ["no port"]);
  writeProblems(directory.path, []);
  assert.deepEqual(readdirSync(directory.path), []);
  writeProblems(join(directory.path, "missing"), ["no spool"]);
});

it("whoever reads them neither follows a link nor waits", async () => {
  await using directory = temporaryDirectory();
  const file = join(directory.path, ".problems");
  symlinkSync("/etc/passwd", file);
  assert.deepEqual(readProblems(directory.path), []);
  writeProblems(directory.path, []);
  await runOk("mkfifo", [file]);
  assert.deepEqual(readProblems(directory.path), []);
});
