import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Formats } from "../../../../src/mail-formats/formats.ts";
import { Fragments, LINE_BYTES } from "../../../../src/mail-formats/fragments.ts";
import { generator } from "../../../support/random.ts";
import { parseLine, type LineResult } from "../../../../src/sources/mail-log/line.ts";

process.env["TZ"] = "UTC";

const TIME = Date.parse("2026-03-03T10:00:01Z");
const CONTEXT = { formats: Formats.named("auto"), now: TIME };

function parse(line: string | Buffer, formats = CONTEXT.formats): LineResult {
  return parseLine(Buffer.from(line), { ...CONTEXT, formats, fragments: new Fragments() });
}

/** As the corpus spells it. */
function spelled(result: LineResult): string {
  switch (result.kind) {
    case "login": {
      const { service, address, user, time } = result.login;
      assert.equal(time, TIME);
      return `login ${service} ${address} ${JSON.stringify(user)}`;
    }
    case "refused":
      return `refused ${result.why}`;
    default:
      return result.kind;
  }
}

const NAMES = ["dovecot", "others"];

interface Case {
  readonly expected: string;
  readonly line: string;
}

function corpus(name: string): readonly Case[] {
  const text = readFileSync(new URL(`corpus/${name}.txt`, import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(lines.length % 2, 0);
  return lines.flatMap((expected, index) =>
    index % 2 === 0 ? { expected, line: lines[index + 1] ?? "" } : [],
  );
}

for (const name of NAMES) {
  describe(`the corpus: ${name}`, () => {
    for (const { expected, line } of corpus(name)) {
      it(`${expected}: ${line}`, () => {
        const result = spelled(parse(line));
        if (expected.startsWith("refused ")) {
          const reason = expected.slice("refused ".length);
          assert.ok(result.startsWith("refused ") && result.includes(reason), result);
        } else {
          // JSON has more than one spelling of a text
          const [, head = "", user = ""] = /^(login \S+ \S+ )(".*")$/.exec(expected) ?? [];
          const parsed: unknown = user === "" ? undefined : JSON.parse(user);
          assert.equal(result, user === "" ? expected : head + JSON.stringify(parsed));
        }
      });
    }
  });
}

const LOGIN =
  "Mar  3 10:00:01 mail dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.10";

describe("a line", () => {
  it("may end with a carriage return", () => {
    assert.equal(spelled(parse(`${LOGIN}\r`)), 'login imap 192.0.2.10 "bob"');
  });

  it("has names of bytes: invalid UTF-8 is escaped, and matches no other name", () => {
    const [head, tail] = LOGIN.split("bob");
    const line = Buffer.concat([
      Buffer.from(head ?? ""),
      Buffer.from([0x63, 0xe9]),
      Buffer.from(tail ?? ""),
    ]);
    assert.equal(spelled(parse(line)), String.raw`login imap 192.0.2.10 "c\\xe9"`);
  });

  it("keeps microseconds", () => {
    const line = LOGIN.replace("Mar  3 10:00:01", "2026-03-03T10:00:00.123456+00:00");
    const result = parse(line);
    assert.ok(result.kind === "login");
    assert.equal(result.login.time, TIME - 1000 + 123.456);
  });

  it("is not a login if it is longer than any", () => {
    const name = "x".repeat(LINE_BYTES);
    assert.equal(parse(LOGIN.replace("bob", name)).kind, "unknown");
  });

  it("is read only in the selected formats", () => {
    assert.equal(parse(LOGIN, Formats.named("dovecot")).kind, "login");
    assert.equal(parse(LOGIN, Formats.named("courier")).kind, "other");
    const uw = "Mar  3 10:00:01 mail imapd[9]: Login user=bob host=h.example [192.0.2.10]";
    assert.equal(parse(uw, Formats.named("uw")).kind, "login");
    assert.equal(parse(uw, Formats.named("courier")).kind, "known");
  });

  it("may be a minute ahead of this host's clock, and no more", () => {
    const line = Buffer.from(LOGIN);
    const fragments = new Fragments();
    assert.equal(parseLine(line, { ...CONTEXT, fragments, now: TIME - 60_000 }).kind, "login");
    assert.equal(parseLine(line, { ...CONTEXT, fragments, now: TIME - 60_001 }).kind, "refused");
  });

  it("without a year is of the year in which its file was last written to", () => {
    const now = Date.parse("2027-03-03T10:00:05Z");
    const context = { ...CONTEXT, fragments: new Fragments(), now, written: TIME };
    const result = parseLine(Buffer.from(LOGIN), context);
    assert.ok(result.kind === "login");
    assert.equal(result.login.time, TIME);
  });

  it("cannot be read in an unknown format", () => {
    assert.throws(() => Formats.named("exim"), {
      message: "there is no format exim; expected auto, dovecot, courier, cyrus, uw, qpopper",
    });
  });
});

describe("20,000 damaged lines", () => {
  it("cause no error, and authorize no address that is not in them", () => {
    const random = generator(514);
    const lines = NAMES.flatMap(corpus).map(({ line }) => Buffer.from(line));
    for (let count = 0; count < 20_000; count++) {
      const line = Buffer.concat([
        lines[random(lines.length)] ?? Buffer.alloc(0),
        random(4) === 0 ? (lines[random(lines.length)] ?? Buffer.alloc(0)) : Buffer.alloc(0),
      ]).subarray(0, random(6) === 0 ? random(200) : undefined);
      for (let change = random(4); change > 0 && line.length > 0; change--) {
        line[random(line.length)] = random(2) === 0 ? random(256) : 0x20 + random(0x5f);
      }
      const result = parse(line);
      if (result.kind !== "login") continue;
      const { address, time } = result.login;
      assert.ok(time <= TIME + 60_000);
      // a compressed address may be spelled in another way in the line
      if (!address.includes(":")) assert.ok(line.includes(address), line.toString("latin1"));
    }
  });

  it("of random bytes are not logins", () => {
    const random = generator(515);
    for (let count = 0; count < 20_000; count++) {
      const line = Buffer.from(Array.from({ length: random(120) }, () => random(256)));
      assert.equal(parse(line).kind, "unknown");
    }
  });
});
