import assert from "node:assert/strict";
import { test } from "node:test";
import {
  exitStatus,
  ok,
  printArea,
  problem,
  summary,
  warning,
  type Finding,
} from "../../../../src/doctor/findings/finding.ts";
import { recorder } from "../../commands/recorder.ts";

const away: Finding = { ...problem("gone"), outage: "store" };
const unasked: Finding = { ...problem("no answer"), outage: "symptom" };
const cases: readonly (readonly [string, readonly Finding[], number])[] = [
  ["nothing wrong: 0", [ok("fine")], 0],
  ["warnings alone: 0", [warning("hm")], 0],
  ["a problem: 78", [ok("fine"), problem("bad")], 78],
  ["the store away: 75", [away, warning("hm")], 75],
  ["the store away, and so Postfix's lookup: 75", [unasked, away], 75],
  ["the store away, and a problem besides: 78", [away, problem("bad")], 78],
  ["Postfix's lookup failing with a store that is there: 78", [unasked], 78],
];
for (const [name, findings, status] of cases) {
  test(name, () => {
    assert.equal(exitStatus([{ name: "Area", findings }]), status);
  });
}

test("a report is plain text, with the advice below its finding", () => {
  const terminal = recorder();
  printArea({ name: "Spool", findings: [ok("fine"), problem("bad", "mend it")] }, terminal);
  assert.deepEqual(terminal.printed, [
    "Spool",
    "  ok       fine",
    "  problem  bad",
    "             mend it",
  ]);
});

test("a terminal gets colours, and no other escapes", () => {
  const terminal = recorder({ color: true });
  printArea({ name: "Spool", findings: [warning("\u001B[2Jhm", "rm '\u0007'")] }, terminal);
  assert.deepEqual(terminal.printed, [
    "\u001B[1mSpool\u001B[0m",
    "  \u001B[33mwarning \u001B[0m \\u001b[2Jhm",
    "             \u001B[36mrm '\\u0007'\u001B[0m",
  ]);
});

test("the last line counts problems and warnings", () => {
  const findings = [ok("a"), problem("b"), warning("c"), warning("d")];
  assert.equal(summary([{ name: "Area", findings }]), "1 problem, 2 warnings");
});
