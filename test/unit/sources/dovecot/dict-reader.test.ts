import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DictReader, type DictRequest } from "../../../../src/sources/dovecot/dict-reader.ts";
import { tabEscape } from "../../../../src/sources/dovecot/tab-escape.ts";
import { randomBytes } from "../../../support/random-bytes.ts";

const KEY = "shared/popbsmtp/imap/192.0.2.1/bob";
const TIME = "1795647850729025";

/** Everything a client of each version sends for a login. */
const CONVERSATIONS = {
  "2.2": `H2\t2\t0\tbob\tpopbsmtp\nB1\nS1\t${KEY}\t${TIME}\nC1\n`,
  "2.3": `H3\t2\t0\t\tpopbsmtp\nB1\tbob\nS1\t${KEY}\t${TIME}\nC1\n`,
  "2.4": `H4\t0\t0\t\tpopbsmtp\nB1\tbob\t0\nV1\tno\nS1\t${KEY}\t${TIME}\nC1\n`,
} as const;

function read(...pieces: readonly (string | Buffer)[]): DictRequest[] {
  const reader = new DictReader();
  return pieces.flatMap((piece) => [...reader.receive(Buffer.from(piece))]);
}

function commit(id: string, ...sets: readonly (readonly [string, string])[]): DictRequest {
  return {
    kind: "commit",
    id,
    isAsync: false,
    hasOther: false,
    sets: sets.map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(value) })),
  };
}

describe("the input from Dovecot's dict client", () => {
  for (const [version, text] of Object.entries(CONVERSATIONS)) {
    it(`is parsed as ${version} sends it: whole, byte by byte, and in two pieces`, () => {
      const expected = [commit("1", [KEY, TIME])];
      assert.deepEqual(read(text), expected);
      assert.deepEqual(read(...Array.from(text)), expected);
      for (let at = 1; at < text.length; at++) {
        assert.deepEqual(read(text.slice(0, at), text.slice(at)), expected);
      }
    });
  }

  it("may contain any byte in a key", () => {
    const user = "a\tb\nc\rd\u0001t/é";
    const text = `H3\t2\t0\t\tp\nB1\nS1\t${tabEscape(KEY + user)}\t1\nC1\n`;
    assert.deepEqual(read(text), [commit("1", [KEY + user, "1"])]);
  });

  it("may be several transactions, nested and in sequence", () => {
    const text = "H3\t2\t0\t\tp\nB1\nB2\nS2\tb\t2\nS1\ta\t1\nC2\nB3\nR3\nS1\tc\t3\nC1\nB1\nC1\n";
    assert.deepEqual(read(text), [
      commit("2", ["b", "2"]),
      commit("1", ["a", "1"], ["c", "3"]),
      commit("1"),
    ]);
  });

  it("may be lookups, iterations, and a commit that only old clients send", () => {
    const text =
      "H2\t0\t0\tu\tp\nLkey\tu\nI1\t0\tkey\tu\nB1\nU1\tkey\nT1\t1\t0\nD1\nB2\nA2\tkey\t1\nC2\n";
    assert.deepEqual(read(text), [
      { kind: "lookup" },
      { kind: "iterate" },
      { ...commit("1"), isAsync: true },
      { ...commit("2"), hasOther: true },
    ]);
  });

  it("is passed on up to a violation of the protocol", () => {
    const reader = new DictReader();
    const got: DictRequest[] = [];
    assert.throws(() => {
      for (const request of reader.receive(Buffer.from(`${CONVERSATIONS["2.3"]}X\n`)))
        got.push(request);
    }, /number/);
    assert.deepEqual(got, [commit("1", [KEY, TIME])]);
  });

  const hello = "H3\t2\t0\t\tp\n";
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["another protocol", "GET / HTTP/1.1\r\n", /does not begin/],
    ["post-login's", "VERSION\tscript-login\t1\t0\n", /does not begin/],
    ["a version to come", "H5\t0\t0\t\tp\n", /version 5 .* expected 2, 3 or 4/],
    ["a handshake without a dict", "H3\t2\t0\n", /does not begin/],
    ["a command before the handshake", "B1\n", /does not begin/],
    ["an unknown command", `${hello}B1\nX1\n`, /unknown command "X"/],
    ["no number", `${hello}B\n`, /without a number/],
    ["an empty line", `${hello}\n`, /without a number/],
    ["a transaction that was not begun", `${hello}S1\ta\tb\n`, /no transaction 1/],
    ["a transaction that has ended", `${hello}B1\nC1\nC1\n`, /no transaction 1/],
    ["a transaction that begins twice", `${hello}B1\nB1\n`, /begins twice/],
    ["a key without a value", `${hello}B1\nS1\ta\n`, /exactly one value/],
    ["a key with two values", `${hello}B1\nS1\ta\tb\tc\n`, /exactly one value/],
    ["an endless line", hello + "a".repeat(70_000), /a line of more than 65536 bytes/],
    [
      "a long line",
      `${hello}B1\nS1\t${"a".repeat(70_000)}\t1\n`,
      /a line of more than 65536 bytes/,
    ],
    [
      "endless transactions",
      hello + Array.from({ length: 100_000 }, (_, id) => `B${id}\n`).join(""),
      /open transactions/,
    ],
    [
      "an endless transaction",
      `${hello}B1\n${`S1\t${"a".repeat(60_000)}\t1\n`.repeat(5)}`,
      /open transactions/,
    ],
  ];
  for (const [name, text, why] of wrong) {
    it(`is malformed with ${name}`, () => {
      assert.throws(() => read(text), why);
    });
  }

  it("is never garbage, which is rejected or incomplete", () => {
    const random = randomBytes(2_300);
    for (let round = 0; round < 2_000; round++) {
      const garbage = Buffer.concat([
        Buffer.from(round % 2 === 0 ? "" : hello),
        random.subarray(round, round + 1 + (round % 300)),
        Buffer.from("\n"),
      ]);
      try {
        assert.deepEqual(read(garbage), []);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }
  });
});
