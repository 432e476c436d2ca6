import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveSocketmap } from "../../../src/lookups/socketmap.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { openLine, receive, receiveLength } from "./line.ts";

const OK = "5:OK OK,";
const NOTFOUND = "9:NOTFOUND ,";
const TEMP = "22:TEMP the store is away,";

const open = () =>
  openLine(serveSocketmap, {
    "192.0.2.1": "authorized",
    "2001:db8::1": "authorized",
    "192.0.2.9": "away",
  });

function ask(text: string): string {
  return `${text.length}:${text},`;
}

describe("the socketmap", () => {
  const table: readonly (readonly [string, string, string])[] = [
    ["an authorized address", "18:popbsmtp 192.0.2.1,", OK],
    ["an unknown address", ask("popbsmtp 192.0.2.2"), NOTFOUND],
    ["an address that cannot be asked about", ask("popbsmtp 192.0.2.9"), TEMP],
    ["another map's name", ask("x 192.0.2.1"), OK],
    ["IPv6", ask("popbsmtp 2001:db8::1"), OK],
    ["IPv6 as Exim spells it", ask("popbsmtp 2001:0db8:0000:0000:0000:0000:0000:0001"), OK],
    ["IPv4 in IPv6", ask("popbsmtp ::ffff:192.0.2.1"), OK],
    ["a name", ask("popbsmtp client.example.net"), NOTFOUND],
    ["a parent domain", ask("popbsmtp .example.net"), NOTFOUND],
    ["part of an IPv4 address", ask("popbsmtp 192.0.2"), NOTFOUND],
    ["part of an IPv6 address", ask("popbsmtp 2001:db8:"), NOTFOUND],
    ["a key with blanks and worse", ask("popbsmtp a b\n\0\xff,1:"), NOTFOUND],
    ["two requests", ask("m 192.0.2.1") + ask("m 192.0.2.2"), OK + NOTFOUND],
    ["a request of the length allowed", ask(`m ${"x".repeat(9_998)}`), NOTFOUND],
    ["a request that is not complete", "13:m 192.0.2.1", ""],
    ["a length that is not complete", "13", ""],
    ["nothing", "", ""],
  ];
  for (const [what, bytes, answer] of table) {
    it(`answers ${what} with ${JSON.stringify(answer)}`, async () => {
      await using line = await open();
      assert.equal(await line.exchange(bytes), answer);
      assert.deepEqual(line.malformed, []);
    });
  }

  it("looks up only keys that are addresses", async () => {
    await using line = await open();
    await line.exchange(ask("m mail.example.org") + ask("m 192.0.2") + ask("m 2001:DB8::1"));
    assert.deepEqual(line.asked, ["2001:db8::1"]);
    assert.deepEqual(line.answers, ["authorized from memory"]);
  });

  it("parses requests byte by byte", async () => {
    await using line = await open();
    const bytes = ask("popbsmtp 192.0.2.1") + ask("popbsmtp 192.0.2.9");
    assert.equal(await line.exchange(...Array.from(bytes)), OK + TEMP);
  });

  it("parses requests in two pieces", async () => {
    await using line = await open();
    const bytes = ask("popbsmtp 192.0.2.1") + ask("popbsmtp 2001:db8::2");
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.equal(await line.exchange(bytes.slice(0, cut), bytes.slice(cut)), OK + NOTFOUND);
    }
  });

  const malformed: readonly (readonly [string, string, string])[] = [
    ["no number", "GET / HTTP/1.0\r\n\r\n", "not a netstring"],
    ["no length", ":m 192.0.2.1,", "not a netstring"],
    ["a leading zero", "011:m 192.0.2.1,", "not a netstring"],
    ["a sign", "+11:m 192.0.2.1,", "not a netstring"],
    ["a blank", " 11:m 192.0.2.1,", "not a netstring"],
    ["no colon", "11 m 192.0.2.1,", "not a netstring"],
    ["digits without end", "1".repeat(100), "not a netstring"],
    ["no comma", "11:m 192.0.2.1.", "a netstring without its comma"],
    ["a wrong length", "10:m 192.0.2.1,", "a netstring without its comma"],
    ["a long one", "10001:", "longer than 10000 bytes"],
    ["a length of 99999", "99999", "longer than 10000 bytes"],
    ["an empty one", "0:,", "not a map and a key"],
    ["no key", "8:popbsmtp,", "not a map and a key"],
    ["an empty key", "9:popbsmtp ,", "not a map and a key"],
    ["no map", "10: 192.0.2.1,", "not a map and a key"],
  ];
  for (const [what, bytes, why] of malformed) {
    it(`answers ${what} with PERM and closes, after the answers before it`, async () => {
      await using line = await open();
      const client = await line.open();
      const received = receive(client);
      client.write(`${ask("m 192.0.2.1")}${bytes}`);
      const perm = `PERM ${why}`;
      assert.equal(await received, `${OK}${perm.length}:${perm},`);
      assert.deepEqual(line.malformed, [why]);
    });
  }

  it("reads no more of 10 MB of garbage than necessary", async () => {
    await using line = await open();
    for (const garbage of [Buffer.alloc(10_000_000, "x"), Buffer.alloc(10_000_000, "9")]) {
      const client = await line.open();
      client.write(garbage);
      assert.match(await receive(client), /^\d+:PERM [^,]+,$/);
      assert.ok((line.sockets.at(-1)?.bytesRead ?? NaN) < 1_000_000);
    }
  });

  it("tolerates a client that disconnects before the error", async () => {
    await using line = await open();
    const client = await line.open();
    client.write("GET / HTTP/1.0\r\n\r\n", () => client.destroy());
    await waitUntil("the end", () => line.sockets[0]?.closed === true);
    assert.deepEqual(line.malformed, ["not a netstring"]);
    assert.equal(await line.exchange(ask("m 192.0.2.1")), OK);
  });

  it("answers 10,000 pipelined requests in order", async () => {
    await using line = await open();
    const wanted = Array.from({ length: 10_000 }, (_, index) => (index * index) % 3 === 0);
    const requests = wanted.map((ok) => ask(ok ? "m 192.0.2.1" : "m 192.0.2.2"));
    const answers = wanted.map((ok) => (ok ? OK : NOTFOUND));
    assert.equal(await line.exchange(requests.join("")), answers.join(""));
  });

  it("does not buffer the requests of a client that reads no answers", async () => {
    await using line = await open();
    const client = await line.open();
    const count = 100_000;
    client.write(ask("m x").repeat(count));
    client.pause();
    await waitUntil("a full socket", () => (line.sockets[0]?.writableLength ?? 0) > 0);
    assert.ok((line.sockets[0]?.writableLength ?? NaN) <= NOTFOUND.length);
    assert.ok((line.sockets[0]?.readableLength ?? NaN) <= 128 * 1024);
    assert.equal(await receiveLength(client, count * NOTFOUND.length), NOTFOUND.repeat(count));
  });
});
