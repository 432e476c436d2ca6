import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import { isThisHost } from "../../../../src/sources/network/callers.ts";

function isOwn(text: string): boolean {
  const address = parseAddress(text);
  assert.ok(address !== undefined);
  return isThisHost(address);
}

const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? []);

test("loopback is this host, and so is each of its IPv4 addresses", () => {
  const own = interfaces.filter(({ family }) => family === "IPv4");
  assert.ok(own.length > 0);
  for (const text of ["127.0.0.1", "127.1.2.3", "::1", ...own.map(({ address }) => address)]) {
    assert.ok(isOwn(text), text);
  }
});

test("other addresses are not, nor are its IPv6 addresses, which any sender can forge", () => {
  const own = interfaces.filter(({ family }) => family === "IPv6").map(({ address }) => address);
  const texts = own.filter((text) => text !== "::1");
  for (const text of [...texts, "192.0.2.1", "128.0.0.1", "0.0.0.0", "2001:db8::1", "::"]) {
    assert.equal(isOwn(text), false, text);
  }
});
