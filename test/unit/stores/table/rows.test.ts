import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import { mergeLogins, utcText } from "../../../../src/stores/table/rows.ts";

function login(from: string, user: string, time: number, service = "imap") {
  const address = parseAddress(from);
  assert.ok(address !== undefined);
  return { address, user, service, time };
}

describe("mergeLogins", () => {
  it("makes one row for each address and user, with the later login's service", () => {
    const [row, ...more] = mergeLogins(
      [
        login("192.0.2.1", "bob", 2, "pop3"),
        login("192.0.2.1", "bob", 3, "imap"),
        login("192.0.2.1", "bob", 1, "sieve"),
      ],
      true,
    );
    assert.deepEqual(more, []);
    assert.deepEqual(row, {
      address: "192.0.2.1",
      user: "bob",
      service: "imap",
      firstSeen: 1,
      lastSeen: 3,
      logins: 3,
    });
  });

  it("sorts by bytes, not by UTF-16 units or a language's rules", () => {
    const users = ["z", "ä", "B", "a", "\u{1F600}", "\uFF5E"];
    const rows = mergeLogins(
      users.map((user) => login("192.0.2.1", user, 1)),
      true,
    );
    assert.deepEqual(
      rows.map(({ user }) => user),
      ["B", "a", "z", "ä", "\uFF5E", "\u{1F600}"],
    );
  });

  it("leaves users out where the table has none", () => {
    const rows = mergeLogins([login("192.0.2.1", "ann", 1), login("192.0.2.1", "bob", 2)], false);
    assert.deepEqual(
      rows.map(({ user, logins }) => [user, logins]),
      [["", 2]],
    );
  });
});

describe("utcText", () => {
  for (const [time, text] of [
    [1_772_532_001_123.456, "2026-03-03 10:00:01.123456"],
    [1_772_532_001_000, "2026-03-03 10:00:01.000000"],
    [1_772_532_000_999.9995, "2026-03-03 10:00:01.000000"],
    [0.001, "1970-01-01 00:00:00.000001"],
    [-0.001, "1969-12-31 23:59:59.999999"],
  ] as const) {
    it(`writes ${String(time)} as ${text}`, () => {
      assert.equal(utcText(time), text);
    });
  }
});
