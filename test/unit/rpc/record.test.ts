import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedMessage } from "../../../src/rpc/message.ts";
import { encodeRecord, RecordReader } from "../../../src/rpc/record.ts";

const LIMIT = 8;

function readAll(...chunks: readonly Buffer[]): readonly string[] {
  const reader = new RecordReader(LIMIT);
  return chunks.flatMap((chunk) => Array.from(reader.read(chunk), String));
}

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("messages on a stream", () => {
  it("are one fragment each, behind its length and the mark of the last", () => {
    assert.deepEqual(encodeRecord(Buffer.from("abc")), bytes("80000003 616263"));
    assert.deepEqual(readAll(encodeRecord(Buffer.from("abc"))), ["abc"]);
  });

  it("may arrive in fragments, several at a time, and byte by byte", () => {
    const stream = bytes("00000001 61 00000002 6263 80000001 64 80000000 80000001 65");
    const read = ["abcd", "", "e"];
    assert.deepEqual(readAll(stream), read);
    assert.deepEqual(readAll(...Array.from(stream, (byte) => Buffer.of(byte))), read);
  });

  it("may be as long as the limit, in any fragments, and no longer", () => {
    assert.deepEqual(readAll(bytes("00000004 61626364 80000004 65666768")), ["abcdefgh"]);
    for (const long of ["80000009", "00000009", "00000004 61626364 80000005", "ffffffff"]) {
      assert.throws(() => readAll(bytes(long)), MalformedMessage);
    }
  });

  it("are rejected if fragments are empty, since those could be endless", () => {
    assert.throws(() => readAll(bytes("00000000")), /an empty fragment/);
  });
});
