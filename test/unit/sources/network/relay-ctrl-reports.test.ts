import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, type Address } from "../../../../src/login/address.ts";
import type { Login } from "../../../../src/login/login.ts";
import { answerRelayCtrl } from "../../../../src/sources/network/relay-ctrl-reports.ts";
import { generateAddresses } from "../../../support/generated-addresses.ts";
import { randomBytes } from "../../../support/random-bytes.ts";

const NOW = 1_772_532_001_000;

async function send(datagram: string | Buffer, { sender = "127.0.0.1", isSafe = true } = {}) {
  const recorded: Login[] = [];
  const denied: Address[] = [];
  const malformed: string[] = [];
  const from = parseAddress(sender);
  assert.ok(from !== undefined);
  const answer = await answerRelayCtrl(Buffer.from(datagram), from, {
    record: (login) => {
      recorded.push(login);
      return Promise.resolve(isSafe);
    },
    isAllowed: (address) => address === "127.0.0.1",
    now: () => NOW,
    onDenied: (address) => denied.push(address),
    onMalformed: (why) => malformed.push(why),
  });
  return { answer, recorded, denied, malformed };
}

describe("a datagram of relay-ctrl-send", () => {
  for (const [text, address] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8::1", "2001:db8::1"],
  ] as const) {
    it(`with ${text} is a login without a user, answered with one byte once it is safe`, async () => {
      const { answer, recorded } = await send(text);
      assert.deepEqual(answer, Buffer.of(1));
      assert.deepEqual(recorded, [{ address, user: "", service: "relay-ctrl", time: NOW }]);
    });
  }

  it("is not answered if the login is lost: the sender tries again", async () => {
    assert.equal((await send("192.0.2.1", { isSafe: false })).answer, undefined);
  });

  it("from a host that may not report logins is not answered, and records nothing", async () => {
    const sender = "198.51.100.1";
    for (const text of ["192.0.2.1", "x"]) {
      const { answer, recorded, denied, malformed } = await send(text, { sender });
      assert.deepEqual([answer, recorded, denied, malformed], [undefined, [], [sender], []]);
    }
  });

  it("without a valid address is counted, and not answered", async () => {
    const noise = randomBytes(10_000);
    const texts = generateAddresses(6_000).filter((text) => parseAddress(text) === undefined);
    assert.ok(texts.length > 1_000);
    for (const datagram of [
      "",
      "192.0.2.1\n",
      "192.0.2.1\0",
      " 192.0.2.1",
      "192.0.2.1/32",
      `192.0.2.1${"0".repeat(500)}`,
      ...texts,
      ...Array.from({ length: 2_000 }, (_, at) => noise.subarray(at, at + (at % 50))),
    ]) {
      const { answer, recorded, malformed } = await send(datagram);
      assert.deepEqual([answer, recorded, malformed], [undefined, [], ["no address"]]);
    }
  });
});
