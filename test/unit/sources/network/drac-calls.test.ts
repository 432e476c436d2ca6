import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, type Address } from "../../../../src/login/address.ts";
import type { Login } from "../../../../src/login/login.ts";
import { answerDrac } from "../../../../src/sources/network/drac-calls.ts";
import { randomBytes } from "../../../support/random-bytes.ts";

const NOW = 1_772_532_001_000;

/** xid, call, RPC 2, program, version, procedure, no credentials, argument. */
function call(program: number, version: number, procedure: number, argument: string): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0xdead_beef);
  header.writeUInt32BE(2, 8);
  for (const [index, word] of [program, version, procedure].entries()) {
    header.writeUInt32BE(word, 12 + index * 4);
  }
  return Buffer.concat([header, Buffer.from(argument, "hex")]);
}

const DRAC = 900_101;
const IPV6 = ["20", "01", "0d", "b8", ...Array<string>(11).fill("00"), "01"];
const ARGUMENT = {
  1: "c0000201",
  2: IPV6.map((byte) => `${byte === "b8" ? "ffffff" : "000000"}${byte}`).join(""),
} as const;

async function ask(message: Buffer, { caller = "127.0.0.1", isSafe = true } = {}) {
  const recorded: Login[] = [];
  const denied: Address[] = [];
  const malformed: string[] = [];
  const from = parseAddress(caller);
  assert.ok(from !== undefined);
  const reply = await answerDrac(message, from, {
    record: (login) => {
      recorded.push(login);
      return Promise.resolve(isSafe);
    },
    isAllowed: (address) => address === "127.0.0.1",
    now: () => NOW,
    onDenied: (address) => denied.push(address),
    onMalformed: (why) => malformed.push(why),
  });
  return { reply: reply?.toString("hex"), recorded, denied, malformed };
}

/** A reply of that status. */
const accepted = (words: string) =>
  `deadbeef00000001${"00000000".repeat(3)}${words.replaceAll(" ", "")}`;

describe("a call of a DRAC client", () => {
  for (const [version, address] of [
    [1, "192.0.2.1"],
    [2, "2001:db8::1"],
  ] as const) {
    it(`in version ${version} is a login without a user, answered once it is safe`, async () => {
      const { reply, recorded, malformed } = await ask(call(DRAC, version, 1, ARGUMENT[version]));
      assert.equal(reply, accepted("00000000 00000000"));
      assert.deepEqual(recorded, [{ address, user: "", service: "drac", time: NOW }]);
      assert.deepEqual(malformed, []);
    });
  }

  it("is answered with a system error if the login is lost", async () => {
    const { reply } = await ask(call(DRAC, 1, 1, ARGUMENT[1]), { isSafe: false });
    assert.equal(reply, accepted("00000000 00000002"));
  });

  it("from a host that may not report logins is answered with permission denied, and records nothing", async () => {
    const caller = "198.51.100.1";
    const { reply, recorded, denied } = await ask(call(DRAC, 1, 1, ARGUMENT[1]), { caller });
    assert.equal(reply, accepted("00000000 00000001"));
    assert.deepEqual([recorded, denied], [[], [caller]]);
  });

  for (const [what, message, words] of [
    ["nothing", call(DRAC, 2, 0, ""), "00000000"],
    ["another program", call(100_003, 1, 1, ARGUMENT[1]), "00000001"],
    ["version 0, to hear which there are", call(DRAC, 0, 0, ""), "00000002 00000001 00000002"],
    ["version 3", call(DRAC, 3, 1, ARGUMENT[1]), "00000002 00000001 00000002"],
    ["another procedure", call(DRAC, 1, 2, ARGUMENT[1]), "00000003"],
  ] as const) {
    it(`for ${what} is answered as RPC requires`, async () => {
      const { reply, recorded, malformed } = await ask(message);
      assert.equal(reply, accepted(words));
      assert.deepEqual([recorded, malformed], [[], []]);
    });
  }

  it("without an address is answered, counted, and records nothing", async () => {
    for (const [version, argument] of [
      [1, ""],
      [1, "c00002"],
      [1, "c000020100000000"],
      [2, "c0000201"],
      [2, "00000100".repeat(16)],
    ] as const) {
      const { reply, recorded, malformed } = await ask(call(DRAC, version, 1, argument));
      assert.equal(reply, accepted("00000004"));
      assert.deepEqual([recorded, malformed], [[], [`no address of version ${version}`]]);
    }
  });

  it("that is truncated or damaged is counted, and not answered", async () => {
    const whole = call(DRAC, 1, 1, ARGUMENT[1]);
    for (let length = 0; length < 40; length++) {
      const { reply, malformed } = await ask(whole.subarray(0, length));
      assert.deepEqual([reply, malformed.length], [undefined, 1]);
    }
    const noise = randomBytes(20_000);
    for (let index = 0; index < 5_000; index++) {
      const damaged = Buffer.from(whole);
      const at = noise.readUInt8(index * 4) % 40;
      damaged.writeUInt8(noise.readUInt8(index * 4 + 1), at);
      const message = index % 2 === 0 ? damaged : noise.subarray(index * 2, index * 2 + at);
      const { recorded } = await ask(message);
      for (const { address } of recorded) assert.equal(address, "192.0.2.1");
    }
  });
});
