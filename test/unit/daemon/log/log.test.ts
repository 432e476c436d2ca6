import assert from "node:assert/strict";
import { test } from "node:test";
import { dovecotLine, eventText, plainLine } from "../../../../src/daemon/log/log-line.ts";
import type { LogLevel } from "../../../../src/config/config.ts";
import { createLog } from "../../../../src/daemon/log/log.ts";

/** A log, what was written to it, and a switch that makes writing fail. */
function recorded(level: LogLevel = "info") {
  const lines: string[] = [];
  const output = { works: true };
  const log = createLog({
    level,
    style: (of, text) => `${of} ${text}\n`,
    write: (line) => {
      if (output.works) lines.push(line.trimEnd());
      return output.works;
    },
  });
  return { log, lines, output };
}

test("an event is a line that begins with its level", () => {
  const { log, lines } = recorded("debug");
  log.debug("a", { n: 1 });
  log.info("b", { yes: true, absent: undefined });
  log.warning("c");
  log.error("d", { reason: "no such table" });
  assert.deepEqual(lines, [
    "debug a n=1",
    "info b yes=true",
    "warning c",
    'error d reason="no such table"',
  ]);
});

for (const [index, level] of (["debug", "info", "warning", "error"] as const).entries()) {
  test(`level ${level} suppresses lower levels, until it is changed`, () => {
    const { log, lines } = recorded(level);
    const all = () => [log.debug("e"), log.info("e"), log.warning("e"), log.error("e")];
    all();
    assert.equal(lines.length, 4 - index);
    log.level = "error";
    log.info("f");
    assert.equal(lines.length, 4 - index);
  });
}

test("a value is quoted if necessary", () => {
  const values = {
    "192.0.2.1": "192.0.2.1",
    "user@example.org": "user@example.org",
    "jürgen@example.org": "jürgen@example.org",
    "": '""',
    "a b": '"a b"',
    "a=b": '"a=b"',
    'a"b': String.raw`"a\"b"`,
    "a\\b": String.raw`"a\\b"`,
  };
  for (const [value, text] of Object.entries(values)) {
    assert.equal(eventText("login", { user: value }), `login user=${text}`);
  }
});

test("nothing in a value ends the line, looks like another field, or acts on a terminal", () => {
  const hostile = [
    "x\nerror login user=root",
    "x\r\nx",
    "x address=192.0.2.66",
    'x" address="192.0.2.66',
    "\u001B[2J\u001B]0;title\u0007",
    "\u009B31m",
    "\u202Egro.elpmaxe@resu",
    "a\u2028b\u2029c\u0085d",
    "\u0000\u0001\u00047 forged",
    "\uD800 \uDFFF",
    "\u200B\u{E0041}\uFEFF",
    "\u00A0\u3000",
  ];
  for (const user of hostile) {
    const text = eventText("login", { user, address: "192.0.2.1" });
    assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
    const [, quoted = ""] =
      /^login user=("(?:[^"\\]|\\.)*") address=192\.0\.2\.1$/.exec(text) ?? [];
    assert.equal(JSON.parse(quoted), user);
  }
});

test("a long value is cut, and displaces no other field", () => {
  for (const user of ["x".repeat(100_000), "\n".repeat(100_000), "😀".repeat(50_000)]) {
    const text = eventText("login", { user, reason: user, address: "192.0.2.1" });
    assert.ok(text.length <= 1_000, String(text.length));
    assert.match(text, /^login user=".+\.\.\." reason=".+\.\.\." address=192\.0\.2\.1$/);
    assert.doesNotMatch(text, /\p{C}/u);
  }
});

test("fields beyond the atomic size of a pipe are left out, and the line shows it", () => {
  const value = "語".repeat(300);
  const text = eventText("event", { a: value, b: value, c: value, d: value });
  assert.match(text, / \.\.\.$/);
  assert.ok(text.length <= 1_000);
  const lines = [plainLine(() => 0)("warning", text), dovecotLine(4_194_304)("warning", text)];
  for (const line of lines) assert.ok(Buffer.byteLength(line) <= 4_096);
});

test("a repeated warning is counted, and summarised after a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines } = recorded();
  for (let i = 0; i < 124; i++) log.warning("store-away", { reason: "refused" });
  assert.deepEqual(lines, ["warning store-away reason=refused"]);
  t.mock.timers.tick(1_000);
  assert.deepEqual(lines.slice(1), ["warning store-away reason=refused repeated=123"]);
});

test("an outage of an hour with a hundred errors a second takes less than a hundred lines", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines } = recorded();
  let counted = 0;
  for (let second = 0; second < 3_600; second++) {
    for (let i = 0; i < 100; i++) log.error("store-away", { reason: "refused" });
    t.mock.timers.tick(1_000);
  }
  log.flush();
  for (const line of lines) counted += Number(/ repeated=(\d+)$/.exec(line)?.[1] ?? 1);
  assert.ok(lines.length < 100, String(lines.length));
  assert.equal(counted, 360_000);
});

test("after a quiet time, a warning is written at once again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines } = recorded();
  log.warning("store-away");
  t.mock.timers.tick(1_000);
  log.warning("store-away");
  assert.deepEqual(lines, ["warning store-away", "warning store-away"]);
});

test("up to ten different warnings of one event are written, and the rest is counted", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines } = recorded();
  for (let i = 1; i <= 50; i++) log.warning("malformed-request", { reason: `no ${i}` });
  assert.equal(lines.length, 10);
  t.mock.timers.tick(1_000);
  assert.deepEqual(lines.slice(10), ['warning malformed-request reason="no 50" repeated=40']);
});

test("a flood of one event does not suppress another", () => {
  const { log, lines } = recorded();
  for (let i = 0; i < 50; i++) log.warning("malformed-request", { i });
  log.warning("lost", { user: "u@example.org" });
  log.error("malformed-request");
  assert.deepEqual(lines.slice(10), ["warning lost user=u@example.org", "error malformed-request"]);
});

test("a summary is written before the event that ends its condition", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, lines } = recorded();
  for (let outage = 0; outage < 2; outage++) {
    for (let i = 0; i < 3; i++) log.warning("store-away", { reason: "refused" });
    log.info("login", { outcome: "spooled" });
    log.info("store-back");
  }
  t.mock.timers.tick(60_000);
  assert.deepEqual(lines, [
    "warning store-away reason=refused",
    "info login outcome=spooled",
    "warning store-away reason=refused repeated=2",
    "info store-back",
    "info login outcome=spooled",
    "warning store-away reason=refused repeated=3",
    "info store-back",
  ]);
});

test("pending summaries are written at the end, once", () => {
  const { log, lines } = recorded();
  for (let i = 0; i < 3; i++) log.error("purge-failed");
  log.flush();
  log.flush();
  assert.deepEqual(lines, ["error purge-failed", "error purge-failed repeated=2"]);
});

test("events at level info are never summarised: every login has its line", () => {
  const { log, lines } = recorded();
  for (let i = 0; i < 50; i++) log.info("login");
  assert.equal(lines.length, 50);
});

test("lines that could not be written are reported once others can be", () => {
  const { log, lines, output } = recorded();
  output.works = false;
  log.info("a");
  log.info("b");
  output.works = true;
  log.info("c");
  log.info("d");
  assert.deepEqual(lines, ["warning log-lines-lost count=2", "info c", "info d"]);
});
