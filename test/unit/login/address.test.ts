import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress, parseNetwork } from "../../../src/login/address.ts";

const canonical = {
  "192.0.2.1": "192.0.2.1",
  "0.0.0.0": "0.0.0.0",
  "::ffff:192.0.2.1": "192.0.2.1",
  "::FFFF:192.0.2.1": "192.0.2.1",
  "::ffff:c000:201": "192.0.2.1",
  "0:0:0:0:0:ffff:192.0.2.1": "192.0.2.1",
  "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
  "2001:db8:0:1:0:0:0:1": "2001:db8:0:1::1",
  "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
  "fe80::1%eth0": "fe80::1",
  "::": "::",
  "::1": "::1",
};

for (const [text, address] of Object.entries(canonical)) {
  test(`${text} is ${address}`, () => assert.equal(parseAddress(text), address));
}

for (const text of [
  "",
  " 192.0.2.1",
  "192.0.2.1 ",
  "192.0.2.1\n",
  "192.0.2",
  "192.0.2.256",
  "010.1.1.1",
  "0x7f.0.0.1",
  "3221225985",
  "192.0.2.1%eth0",
  "192.0.2.1/24",
  "::ffff:192.0.2.1.5",
  "::ffff:010.1.1.1",
  "2001:db8::1::2",
  "2001:db8::12345",
  "[2001:db8::1]",
  "fe80::1%",
  "client.example.org",
  "١٩٢.0.2.1",
]) {
  test(`${JSON.stringify(text)} is not an address`, () => {
    assert.equal(parseAddress(text), undefined);
  });
}

function contains(network: string, address: string): boolean | undefined {
  const parsed = parseAddress(address);
  assert.ok(parsed !== undefined);
  return parseNetwork(network)?.contains(parsed);
}

test("a network contains its addresses, first and last, and no others", () => {
  assert.equal(contains("198.51.100.64/26", "198.51.100.64"), true);
  assert.equal(contains("198.51.100.64/26", "198.51.100.127"), true);
  assert.equal(contains("198.51.100.64/26", "198.51.100.63"), false);
  assert.equal(contains("198.51.100.64/26", "198.51.100.128"), false);
  assert.equal(contains("2001:db8::/32", "2001:db8:ffff::1"), true);
  assert.equal(contains("2001:db8::/32", "2001:db9::"), false);
});

test("a network need not be written with its first address", () => {
  assert.equal(contains("192.0.2.77/24", "192.0.2.1"), true);
});

test("an address alone is a network of one", () => {
  assert.equal(contains("192.0.2.1", "192.0.2.1"), true);
  assert.equal(contains("192.0.2.1", "192.0.2.2"), false);
  assert.equal(contains("2001:db8::1", "2001:db8::2"), false);
});

test("an IPv6 network contains no IPv4 address, and the reverse", () => {
  assert.equal(contains("::/0", "192.0.2.1"), false);
  assert.equal(contains("0.0.0.0/0", "2001:db8::1"), false);
  assert.equal(contains("0.0.0.0/0", "192.0.2.1"), true);
});

for (const text of [
  "",
  "192.168/16",
  "192.0.2.0/33",
  "2001:db8::/129",
  "192.0.2.0/",
  "192.0.2.0/-1",
].concat(["192.0.2.0/24/24", "192.0.2.0/1e1", "example.org/24", "192.0.2.0/255.255.255.0"])) {
  test(`${JSON.stringify(text)} is not a network`, () =>
    assert.equal(parseNetwork(text), undefined));
}
