import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Formats } from "../../../src/mail-formats/formats.ts";
import { Fragments } from "../../../src/mail-formats/fragments.ts";
import { parseLine, type LineResult } from "../../../src/sources/mail-log/line.ts";
import { parsePattern } from "../../../src/mail-formats/pattern.ts";
import { DOCS } from "../../support/docs.ts";

process.env["TZ"] = "UTC";

const NOW = Date.parse("2026-03-03T10:00:05Z");

function parse(source: string, line: string | Buffer): LineResult {
  const pattern = parsePattern(source);
  assert.ok(typeof pattern !== "string");
  const context = { formats: Formats.own(pattern), fragments: new Fragments(), now: NOW };
  return parseLine(Buffer.from(line), context);
}

/** The example of docs/mail-log.md. */
const VPOPMAIL = /^pattern = '(.*)'$/m.exec(DOCS)?.[1] ?? "";
const LINE =
  "Mar  3 10:00:01 mail vpopmail[9]: vchkpw-pop3: (PLAIN) login success bob@example.org:192.0.2.10";
const LOGIN = {
  kind: "login",
  login: {
    address: "192.0.2.10",
    user: "bob@example.org",
    service: "pop3",
    time: Date.parse("2026-03-03T10:00:01Z"),
  },
  yearless: "Mar  3 10:00:01",
};

describe("a pattern of the administrator's", () => {
  it("finds address, user and service; the time is at the beginning of the line", () => {
    assert.deepEqual(parse(VPOPMAIL, LINE), LOGIN);
    assert.deepEqual(parse(VPOPMAIL, `${LINE}\r`), LOGIN);
  });

  it("can locate the time", () => {
    const line = "bob 192.0.2.10 at 2026-03-03 10:00:01.5";
    assert.deepEqual(parse("^(?<user>.*) (?<address>.*) at (?<time>.*)$", line), {
      kind: "login",
      login: { address: "192.0.2.10", user: "bob", service: "", time: NOW - 3500 },
      yearless: undefined,
    });
  });

  it("needs only an address", () => {
    const result = parse(
      "from (?<address>.*)",
      "Mar  3 10:00:01 mail popd: from ::ffff:192.0.2.10",
    );
    assert.ok(result.kind === "login");
    assert.deepEqual(
      { ...result.login, time: 0 },
      {
        address: "192.0.2.10",
        user: "",
        service: "",
        time: 0,
      },
    );
  });

  it("reads UTF-8, and escapes other bytes", () => {
    const line = Buffer.concat([
      Buffer.from("Mar  3 10:00:01 mail Übung: caf"),
      Buffer.from([0xe9]),
      Buffer.from("ü 192.0.2.10"),
    ]);
    const result = parse("Übung: (?<user>.*) (?<address>.*)", line);
    assert.ok(result.kind === "login");
    assert.equal(result.login.user, String.raw`caf\xe9ü`);
  });

  it("distinguishes lines that it does not match from text that is not a log", () => {
    assert.equal(parse(VPOPMAIL, LINE.replace("success", "failed")).kind, "other");
    assert.equal(parse(VPOPMAIL, LINE.replace("bob", "x:198.51.100.1")).kind, "other");
    assert.equal(parse(VPOPMAIL, "-- Boot --").kind, "unknown");
  });

  it("authorizes no address without an address or a time", () => {
    assert.deepEqual(parse("from (?<address>.*)", "Mar  3 10:00:01 mail popd: from example.org"), {
      kind: "refused",
      why: "the text that matches the group address is not an address",
    });
    assert.deepEqual(parse("from (?<address>.*)", "from 192.0.2.10"), {
      kind: "refused",
      why: "it contains no time",
    });
    assert.deepEqual(parse("(?<time>.*) from (?<address>.*)", "today from 192.0.2.10"), {
      kind: "refused",
      why: "its time cannot be parsed",
    });
  });

  for (const [source, problem] of Object.entries({
    "(?<address>": "is not a regular expression: Unterminated group",
    "(?<address>.*)(": "is not a regular expression: Unterminated group",
    "rip=([0-9.]+)": "has no group (?<address>...)",
    "": "has no group (?<address>...)",
    "(?<address>.*) (?<name>.*)":
      "has an unknown group name; expected address, user, service, time",
    "(?<address>.*)(?=x)":
      "uses lookahead, a back-reference or more than 16 repetitions, and could run for an unlimited time; rewrite it without them",
    "(?<address>.*) \\1":
      "uses lookahead, a back-reference or more than 16 repetitions, and could run for an unlimited time; rewrite it without them",
  })) {
    it(`is rejected as ${JSON.stringify(source)}: ${problem}`, () => {
      assert.equal(parsePattern(source), problem);
    });
  }

  it("takes linear time on any line", () => {
    for (const source of [
      "^(?<address>(a+)+)$",
      "^(?<address>(a|aa)+)$",
      "^(?<address>(.*a){12})$",
      "^(?<address>([a-z]+ ?)*)$",
    ]) {
      const line = `${"a".repeat(2000)}!`;
      // optimized code, too
      for (let again = 0; again < 20; again++) assert.equal(parse(source, line).kind, "unknown");
    }
  });
});
