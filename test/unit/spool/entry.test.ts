import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEntry, parseEntryName, type EntryName } from "../../../src/spool/entry.ts";

const name: EntryName = { name: "1772000000123456.4711", time: 1_772_000_000_123.456, pid: 4711 };

function entry(...fields: readonly (string | Buffer)[]): Buffer {
  const parts = fields.flatMap((field) => [Buffer.from(field), Buffer.of(0)]);
  return Buffer.concat([...parts, Buffer.from("\n")]);
}

describe("the name of a login's file", () => {
  it("holds the time to the microsecond and the writer's process id", () => {
    assert.deepEqual(parseEntryName(name.name), name);
  });

  for (const other of [
    ".drain",
    "bad",
    "lost+found",
    "1772000000123456",
    "1772000000123456.",
    "177200000012345.1",
    "17720000001234567.1",
    "1772000000123456.1.2",
    "1772000000123456.x",
    " 1772000000123456.1",
    "1772000000123456.1\n",
    "1772000000123456.12345678901",
  ]) {
    it(`is not ${JSON.stringify(other)}`, () => {
      assert.equal(parseEntryName(other), undefined);
    });
  }
});

describe("a login's file", () => {
  it("holds address, service and user; the time is its name's", () => {
    assert.deepEqual(parseEntry(name, entry("1", "192.0.2.1", "imap", "bob")), {
      address: "192.0.2.1",
      service: "imap",
      user: "bob",
      time: name.time,
    });
  });

  it("may have no service and no user", () => {
    const login = parseEntry(name, entry("1", "2001:db8::1", "", ""));
    assert.deepEqual([login?.service, login?.user], ["", ""]);
  });

  it("is incomplete wherever it is cut, and never mistaken for another login", () => {
    for (const user of ["bob\n\nis\nhere\n", "\n", "\n\nbob"]) {
      const whole = entry("1", "192.0.2.1", "imap", user);
      for (let length = 0; length < whole.length; length++) {
        assert.equal(parseEntry(name, whole.subarray(0, length)), undefined, String(length));
      }
      assert.equal(parseEntry(name, whole)?.user, user);
    }
  });

  it("keeps every character of the user", () => {
    for (const user of ["a\nb", "a\r\tb\u001B[0m", "漢字 é 😀", "'\"\\;--", "x".repeat(255)]) {
      assert.equal(parseEntry(name, entry("1", "192.0.2.1", "imap", user))?.user, user);
    }
  });

  it("has the user cut at 255 bytes, between two characters", () => {
    const user = parseEntry(name, entry("1", "192.0.2.1", "imap", "é".repeat(200)))?.user;
    assert.equal(user, "é".repeat(127));
  });

  it("shows bytes that are not UTF-8 in hexadecimal", () => {
    const bytes = Buffer.concat([Buffer.from("é"), Buffer.of(0xff, 0x41, 0xc3), Buffer.from("漢")]);
    const login = parseEntry(name, entry("1", "192.0.2.1", "imap", bytes));
    assert.equal(login?.user, "é\\xffA\\xc3漢");
    const cut = parseEntry(name, entry("1", "192.0.2.1", "imap", Buffer.of(0xf0, 0x9f)));
    assert.equal(cut?.user, "\\xf0\\x9f");
  });

  for (const [what, bytes] of Object.entries({
    "too many fields": entry("1", "192.0.2.1", "imap", "bob", "more"),
    "an unknown format": entry("2", "192.0.2.1", "imap", "bob"),
    "a name instead of an address": entry("1", "host.example.org", "imap", "bob"),
    "no address": entry("1", "", "imap", "bob"),
  })) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseEntry(name, bytes));
    });
  }
});
