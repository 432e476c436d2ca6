import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAddress } from "../../../../src/login/address.ts";
import { parseMynetworks } from "../../../../src/config/reading/mynetworks.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

function trusts(mynetworks: string, text: string): boolean {
  const network = parseMynetworks(mynetworks);
  const address = parseAddress(text);
  assert.ok(typeof network !== "string" && address !== undefined);
  return network.contains(address);
}

test("mynetworks is a list with commas and blanks, IPv6 in brackets", () => {
  const list =
    "127.0.0.0/8 [::ffff:127.0.0.0]/104, [::1]/128,\n\t192.0.2.7 [2001:db8::]/32,[fe80::1]";
  for (const address of ["127.1.2.3", "::1", "192.0.2.7", "2001:db8:1::1", "fe80::1"]) {
    assert.equal(trusts(list, address), true, address);
  }
  // 127.0.0.0/8 is what it is without the one for mapped addresses, which no client has
  assert.equal(trusts("[::ffff:127.0.0.0]/104", "127.0.0.1"), false);
  for (const address of ["128.0.0.1", "::2", "192.0.2.8", "2001:db9::1", "fe80::2"]) {
    assert.equal(trusts(list, address), false, address);
  }
});

test("an empty mynetworks contains no address", () => {
  assert.equal(trusts("", "127.0.0.1"), false);
  assert.equal(trusts(" , ", "127.0.0.1"), false);
});

test("the first pattern that matches decides, and ! negates it", () => {
  assert.equal(trusts("!192.0.2.7 192.0.2.0/24", "192.0.2.7"), false);
  assert.equal(trusts("!192.0.2.7 192.0.2.0/24", "192.0.2.8"), true);
  assert.equal(trusts("192.0.2.0/24 !192.0.2.7", "192.0.2.7"), true);
  assert.equal(trusts("!![::1]", "::1"), true);
});

test("the lines of a file are part of the list, except for comments", async () => {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "networks");
  writeFileSync(path, "# 198.51.100.0/24\n192.0.2.0/25, !192.0.2.200\n[2001:db8::]/32\n");
  assert.equal(trusts(path, "192.0.2.1"), true);
  assert.equal(trusts(path, "2001:db8::1"), true);
  assert.equal(trusts(path, "198.51.100.1"), false);
  assert.equal(trusts(`!${path} 0.0.0.0/0`, "192.0.2.1"), false);
  assert.equal(trusts(`!${path} 0.0.0.0/0`, "192.0.2.200"), true);
});

test("an element that is not understood is reported, with what to do", async () => {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "networks");
  writeFileSync(path, path);
  const told = {
    "127.0.0.0/8 cidr:/etc/postfix/trusted":
      'the table "cidr:/etc/postfix/trusted", and tables are not read',
    "2001:db8::1": 'the table "2001:db8::1", and tables are not read',
    "192.0.2.0/33": '"192.0.2.0/33", which is no network',
    "[192.0.2.0": '"[192.0.2.0", which is no network',
    "client.example.org": '"client.example.org", which is no network',
    "!/nonexistent": 'the file "/nonexistent", and there is no such file',
    [path]: `the file "${path}" within itself`,
  };
  for (const [mynetworks, what] of Object.entries(told)) {
    assert.equal(
      parseMynetworks(mynetworks),
      `"postfix": mynetworks has ${what}; list the networks instead`,
    );
  }
});
