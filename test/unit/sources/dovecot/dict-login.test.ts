import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Login } from "../../../../src/login/login.ts";
import { dictLogin } from "../../../../src/sources/dovecot/dict-login.ts";

const NOW = 1_795_647_850_730;
const US = "1795647850729025";

function login(key: string | Buffer, value = US, major = 3): Login | undefined {
  return dictLogin({ key: Buffer.from(key), value: Buffer.from(value) }, { major, now: NOW });
}

function timeOf(value: string): number | undefined {
  return login("shared/popbsmtp/imap/192.0.2.1/bob", value)?.time;
}

describe("a key of the last_login plugin", () => {
  it("names the service, the address and the user", () => {
    assert.deepEqual(login("shared/popbsmtp/pop3/192.0.2.1/bob@example.org"), {
      service: "pop3",
      address: "192.0.2.1",
      user: "bob@example.org",
      time: 1_795_647_850_729.025,
    });
  });

  it("has the address in any spelling", () => {
    const written = { "2001:DB8:0::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1" };
    for (const [spelling, address] of Object.entries(written)) {
      assert.equal(login(`shared/popbsmtp/imap/${spelling}/bob`)?.address, address);
    }
  });

  it("may contain any user name", () => {
    for (const user of ["a/b/192.0.2.9/c", "/", "a\tb\nc", "é", "x>, rip=198.51.100.1, y=<"]) {
      assert.equal(login(`shared/popbsmtp/imap/192.0.2.1/${user}`)?.user, user);
    }
    const bytes = Buffer.concat([Buffer.from("shared/popbsmtp/imap/192.0.2.1/a"), Buffer.of(0xff)]);
    assert.equal(login(bytes)?.user, String.raw`a\xff`);
  });

  it("of another service, or without an address, is not a login", () => {
    for (const service of ["lmtp", "submission", "doveadm", "", "IMAP"]) {
      assert.equal(login(`shared/popbsmtp/${service}/192.0.2.1/bob`), undefined);
    }
    assert.equal(login("shared/popbsmtp/imap//bob"), undefined);
  });

  it("that is wrong causes an error with the right setting", () => {
    const wrong = [
      "shared/last-login/bob",
      "shared/popbsmtp/imap/192.0.2.1",
      "priv/popbsmtp/a/b/c",
    ];
    for (const key of [...wrong, "shared/popbsmtp/imap/192.0.2.1/"]) {
      assert.throws(() => login(key), /^Error: last_login_key: expected popbsmtp\/%s\/%r\/%u$/);
      assert.throws(
        () => login(key, US, 4),
        /expected popbsmtp\/%\{protocol\}\/%\{remote_ip\}\/%\{user\}$/,
      );
    }
    assert.throws(
      () => login("shared/popbsmtp/imap/%{rip}/bob"),
      /"%\{rip\}" is not an address; expected/,
    );
  });
});

describe("a time of the last_login plugin", () => {
  it("may have any precision", () => {
    assert.equal(timeOf("1795647850"), 1_795_647_850_000);
    assert.equal(timeOf("1795647850729"), 1_795_647_850_729);
    assert.equal(timeOf(US), 1_795_647_850_729.025);
    assert.equal(timeOf("1795647850729025000"), 1_795_647_850_729.025);
  });

  it("is never later than now", () => {
    assert.equal(timeOf("1795647850730999"), 1_795_647_850_730.999, "within the same millisecond");
    assert.equal(timeOf("1795647852"), NOW);
    assert.equal(timeOf("9999999999999999"), NOW);
  });

  it("is invalid in any other form", () => {
    for (const value of [
      "",
      "0",
      "0000000001",
      "-1795647850",
      "179564785072",
      "1e15",
      "17956478507290251",
    ]) {
      assert.throws(() => timeOf(value), /the value is not a time/);
    }
  });
});
