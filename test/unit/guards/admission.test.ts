import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf, type AllowConfig } from "../../../src/guards/admission.ts";
import { UserList } from "../../../src/guards/user-list.ts";
import { parseAddress, parseNetwork } from "../../../src/login/address.ts";

const EVERYBODY: AllowConfig = { users: undefined, networks: undefined, services: undefined };

function refusal(allow: Partial<AllowConfig>, address: string, user = "bob", service = "imap") {
  const login = { address: parseAddress(address) ?? assert.fail(), user, service, time: 0 };
  return refusalOf(login, { exclude: networks("10.0.0.0/8"), allow: { ...EVERYBODY, ...allow } });
}

function networks(...texts: readonly string[]) {
  return texts.map((text) => parseNetwork(text) ?? assert.fail(text));
}

test("without a condition everybody's logins count, but not from where they are excluded", () => {
  assert.equal(refusal({}, "192.0.2.1"), undefined);
  assert.equal(refusal({}, "2001:db8::1", ""), undefined);
  assert.equal(refusal({}, "10.0.0.1"), "excluded");
});

test("every condition has to hold", () => {
  const allow = {
    users: new UserList(["bob"]),
    networks: networks("192.0.2.0/24"),
    services: ["pop3"],
  };
  assert.equal(refusal(allow, "192.0.2.1", "bob", "pop3"), undefined);
  assert.equal(refusal(allow, "192.0.2.1", "eve", "pop3"), "not-allowed");
  assert.equal(refusal(allow, "198.51.100.1", "bob", "pop3"), "not-allowed");
  assert.equal(refusal(allow, "192.0.2.1", "bob", "imap"), "not-allowed");
});

test("users are names or patterns, and nothing in a pattern but the asterisk is special", () => {
  const users = new UserList(["bob", "*@devices.example.org", "scan*-[1]", "a.c"]);
  assert.equal(users.size, 4);
  for (const name of [
    "bob",
    "x@devices.example.org",
    "@devices.example.org",
    "scanner\n-[1]",
    "a.c",
  ])
    assert.ok(users.has(name), name);
  for (const name of [
    "Bob",
    "bobby",
    "",
    "x@devices-example.org",
    "x@devices.example.org.evil",
    "scan-1",
    "abc",
  ])
    assert.ok(!users.has(name), name);
});

test("an asterisk alone is everybody with or without a name", () => {
  assert.ok(new UserList(["*"]).has(""));
  assert.ok(new UserList(["*"]).has("anybody"));
});
