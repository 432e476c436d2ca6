import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeCall, decodeReply, encodeCall, MalformedMessage } from "../../../src/rpc/message.ts";

/** Bytes from words in hexadecimal. */
function hex(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.join("").replaceAll(" ", ""), "hex");
}

const CALL = hex(
  "12345678 00000000 00000002 000dbc05 00000001 00000001",
  "00000000 00000000 00000000 00000000",
  "c0000201",
);

const REPLY = hex("12345678 00000001 00000000 00000000 00000000");

describe("a call", () => {
  const call = {
    xid: 0x1234_5678,
    program: 900_101,
    version: 1,
    procedure: 1,
    argument: hex("c0000201"),
  };

  it("is encoded as these bytes", () => {
    assert.deepEqual(encodeCall(call), CALL);
  });

  it("is decoded from them", () => {
    assert.deepEqual(decodeCall(CALL), call);
  });

  it("may carry credentials of AUTH_SYS", () => {
    const header = CALL.subarray(0, 24);
    const unix = "00000001 00000018 00000000 00000003 61626300 00000000 00000000 00000000";
    const bytes = Buffer.concat([header, hex(unix, "00000000 00000000", "c0000201")]);
    assert.deepEqual(decodeCall(bytes), call);
  });

  it("of another version of RPC is denied, with the right version", () => {
    const bytes = Buffer.from(CALL);
    bytes.writeUInt32BE(3, 8);
    const denied = hex("12345678 00000001 00000001 00000000 00000002 00000002");
    assert.deepEqual(decodeCall(bytes), { denied });
  });

  it("with other credentials is denied", () => {
    const bytes = Buffer.from(CALL);
    bytes.writeUInt32BE(6, 24);
    const denied = hex("12345678 00000001 00000001 00000001 00000002");
    assert.deepEqual(decodeCall(bytes), { denied });
  });

  it("is malformed if its header is truncated or a credential is too long", () => {
    for (let length = 0; length < CALL.length - 4; length++) {
      assert.throws(() => decodeCall(CALL.subarray(0, length)), MalformedMessage);
    }
    const long = Buffer.from(CALL);
    long.writeUInt32BE(401, 28);
    assert.throws(() => decodeCall(Buffer.concat([long, Buffer.alloc(500)])), /too long/);
  });

  it("cannot be a reply", () => {
    assert.throws(() => decodeCall(Buffer.concat([REPLY, Buffer.alloc(40)])), /no call/);
  });
});

describe("a reply", () => {
  it("has the result", () => {
    const bytes = Buffer.concat([REPLY, hex("00000000 00000002")]);
    assert.deepEqual(decodeReply(bytes), { xid: 0x1234_5678, result: hex("00000002") });
  });

  for (const [words, trouble] of [
    ["00000001", "does not know this program"],
    ["00000002 00000001 00000001", "does not know this version of the program"],
    ["00000003", "does not know this procedure"],
    ["00000004", "does not understand the argument"],
    ["00000005", "reports a system error"],
    ["00000063", "answers with error 99"],
  ] as const) {
    it(`says that the server ${trouble}`, () => {
      const reply = decodeReply(Buffer.concat([REPLY, hex(words)]));
      assert.deepEqual(reply, {
        xid: 0x1234_5678,
        trouble,
        code: Number(`0x${words.slice(0, 8)}`),
      });
    });
  }

  it("may be a denial", () => {
    for (const [words, trouble] of [
      ["00000000 00000002 00000002", "speaks another version of RPC"],
      ["00000001 00000005", "asks for credentials"],
    ] as const) {
      const reply = decodeReply(hex("12345678 00000001 00000001", words));
      assert.deepEqual(reply, { xid: 0x1234_5678, trouble, code: undefined });
    }
  });

  it("is malformed if it is too short, a call, or neither accepted nor denied", () => {
    for (let length = 0; length < REPLY.length; length++) {
      assert.throws(() => decodeReply(REPLY.subarray(0, length)), MalformedMessage);
    }
    assert.throws(() => decodeReply(CALL), /no reply/);
    assert.throws(() => decodeReply(hex("12345678 00000001 00000002")), /neither/);
  });
});
