import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, type Address } from "../../../src/login/address.ts";
import {
  decodeDracArgument,
  dracVersion,
  encodeDracArgument,
} from "../../../src/rpc/drac-protocol.ts";
import { generateAddresses } from "../../support/generated-addresses.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

describe("DRAC's argument", () => {
  for (const [text, version, hex] of [
    ["192.0.2.1", 1, "c0000201"],
    ["0.0.0.0", 1, "00000000"],
    ["255.255.255.255", 1, "ffffffff"],
    [
      "2001:db8::b8ff",
      2,
      "00000020 00000001 0000000d ffffffb8 00000000 00000000 00000000 00000000" +
        "00000000 00000000 00000000 00000000 00000000 00000000 ffffffb8 ffffffff",
    ],
  ] as const) {
    it(`for ${text} is that of version ${version}, encoded as these bytes`, () => {
      assert.equal(dracVersion(address(text)), version);
      assert.deepEqual(encodeDracArgument(address(text)), bytes(hex));
      assert.equal(decodeDracArgument(version, bytes(hex)), text);
    });
  }

  it("is decoded to the same address", () => {
    const addresses = generateAddresses(2_000).flatMap((text) => parseAddress(text) ?? []);
    assert.ok(addresses.length > 500);
    for (const each of addresses) {
      assert.equal(decodeDracArgument(dracVersion(each), encodeDracArgument(each)), each);
    }
  });

  it("may contain unsigned chars, and an IPv4-mapped address", () => {
    const mapped = `${"00000000".repeat(10)} 000000ff 000000ff 000000c0 00000000 00000002 00000001`;
    assert.equal(decodeDracArgument(2, bytes(mapped)), "192.0.2.1");
  });

  it("is invalid with another length, an invalid char, or an unknown version", () => {
    for (let length = 0; length < 80; length++) {
      if (length !== 4) assert.equal(decodeDracArgument(1, Buffer.alloc(length)), undefined);
      if (length !== 64) assert.equal(decodeDracArgument(2, Buffer.alloc(length)), undefined);
    }
    for (const char of ["00000100", "ffffff7f", "80000000"]) {
      assert.equal(decodeDracArgument(2, bytes(char + "00000000".repeat(15))), undefined);
    }
    assert.equal(decodeDracArgument(3, Buffer.alloc(4)), undefined);
  });
});
