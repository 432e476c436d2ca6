import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { servePolicy } from "../../../src/lookups/policy.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { openLine, receive, receiveLength } from "./line.ts";

const OK = "action=OK\n\n";
const DUNNO = "action=DUNNO\n\n";

const open = () =>
  openLine(servePolicy, {
    "192.0.2.1": "authorized",
    "2001:db8::1": "authorized",
    "192.0.2.9": "away",
  });

/** As Postfix 3.7 sends it, shortened in the middle. */
function request(address: string): string {
  return `request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=${address}
client_name=client.example.net
helo_name=client_address=192.0.2.1
sender=a=b@example.com
recipient=postmaster@example.org
instance=7b1c.6650f2a1.3f8a4.0
sasl_username=
size=12345

`;
}

describe("the policy service", () => {
  const table: readonly (readonly [string, string, string])[] = [
    ["an authorized address", request("192.0.2.1"), OK],
    ["an unknown address", request("192.0.2.2"), DUNNO],
    ["an address that cannot be asked about", request("192.0.2.9"), DUNNO],
    ["IPv6", request("2001:db8::1"), OK],
    ["IPv6 spelled otherwise", request("2001:0DB8:0:0:0:0:0:1"), OK],
    ["IPv4 in IPv6", request("::ffff:192.0.2.1"), OK],
    ["lines ended by CR LF", request("192.0.2.1").replaceAll("\n", "\r\n"), OK],
    ["no address", "request=smtpd_access_policy\n\n", DUNNO],
    ["an empty address", request(""), DUNNO],
    ["an address that is none", request("unknown"), DUNNO],
    ["an address with a blank", request(" 192.0.2.1"), DUNNO],
    ["two addresses", request("192.0.2.1\nclient_address=192.0.2.1"), DUNNO],
    ["another request", request("192.0.2.1").replace("smtpd_access", "junk"), DUNNO],
    ["no request", "client_address=192.0.2.1\n\n", DUNNO],
    ["an attribute that nobody knows", `future=\xff\0 \x01=\n${request("192.0.2.1")}`, OK],
    ["another state", request("192.0.2.1").replace("RCPT", "CONNECT"), OK],
    ["nothing but an empty line", "\n", DUNNO],
    ["two requests", request("192.0.2.1") + request("192.0.2.2"), OK + DUNNO],
    ["a request that is not complete", request("192.0.2.1").slice(0, -1), ""],
    ["nothing", "", ""],
  ];
  for (const [what, bytes, answer] of table) {
    it(`answers ${what} with ${JSON.stringify(answer)}`, async () => {
      await using line = await open();
      assert.equal(await line.exchange(bytes), answer);
      assert.deepEqual(line.malformed, []);
    });
  }

  it("looks up only addresses, in their canonical spelling, and counts the answers", async () => {
    await using line = await open();
    await line.exchange(
      request("2001:DB8::1") + request("mail.example.org") + request("192.0.2.9"),
    );
    assert.deepEqual(line.asked, ["2001:db8::1", "192.0.2.9"]);
    assert.deepEqual(line.answers, ["authorized from memory", "away from memory"]);
  });

  it("parses a request byte by byte", async () => {
    await using line = await open();
    const bytes = request("192.0.2.1") + request("192.0.2.2").replaceAll("\n", "\r\n");
    assert.equal(await line.exchange(...Array.from(bytes)), OK + DUNNO);
  });

  it("parses a request in two pieces", async () => {
    await using line = await open();
    const bytes = request("192.0.2.1");
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.equal(await line.exchange(bytes.slice(0, cut), bytes.slice(cut)), OK);
    }
  });

  const malformed: readonly (readonly [string, string, string])[] = [
    ["a line without =", "EHLO client.example.net\n\n", "a line without ="],
    ["an = in the next line only", "x\ny=z\n\n", "a line without ="],
    ["a line that does not end", "x".repeat(65_537), "longer than 65536 bytes"],
    ["lines that do not end", "a=b\n".repeat(16_385), "longer than 65536 bytes"],
    ["a long line", `a=${"x".repeat(65_536)}\n\n`, "longer than 65536 bytes"],
  ];
  for (const [what, bytes, why] of malformed) {
    it(`closes the connection on ${what}, after the answers before it`, async () => {
      await using line = await open();
      const client = await line.open();
      const received = receive(client);
      client.write(request("192.0.2.1"));
      client.write(bytes);
      assert.equal(await received, OK);
      assert.deepEqual(line.malformed, [why]);
    });
  }

  it("accepts a request of exactly the maximum length", async () => {
    await using line = await open();
    const bytes = request("192.0.2.1");
    const filler = `filler=${"x".repeat(65_536 - bytes.length - "filler=\n".length)}\n`;
    assert.equal(await line.exchange(filler + bytes), OK);
  });

  it("reads no more of a 10 MB line than necessary", async () => {
    await using line = await open();
    const client = await line.open();
    client.write(Buffer.alloc(10_000_000, "x"));
    assert.equal(await receive(client), "");
    assert.deepEqual(line.malformed, ["longer than 65536 bytes"]);
    assert.ok((line.sockets[0]?.bytesRead ?? NaN) < 1_000_000);
  });

  it("answers 10,000 pipelined requests in order", async () => {
    await using line = await open();
    const wanted = Array.from({ length: 10_000 }, (_, index) => (index * index) % 3 === 0);
    const requests = wanted.map((ok) => request(ok ? "192.0.2.1" : "192.0.2.2"));
    const answers = wanted.map((ok) => (ok ? OK : DUNNO));
    assert.equal(await line.exchange(requests.join("")), answers.join(""));
  });

  it("does not buffer the requests of a client that reads no answers", async () => {
    await using line = await open();
    const client = await line.open();
    const count = 100_000;
    client.write("\n".repeat(count));
    client.pause();
    await waitUntil("a full socket", () => (line.sockets[0]?.writableLength ?? 0) > 0);
    assert.ok((line.sockets[0]?.writableLength ?? NaN) <= DUNNO.length);
    assert.ok((line.sockets[0]?.readableLength ?? NaN) <= 128 * 1024);
    assert.equal(await receiveLength(client, count * DUNNO.length), DUNNO.repeat(count));
  });

  it("answers one client while 1,000 others are idle, some in the middle of a request", async () => {
    await using line = await open();
    const idle: Socket[] = [];
    while (idle.length < 1_000) idle.push(await line.open());
    for (const client of idle.slice(0, 500)) client.write("request=smtpd_access");
    assert.equal(await line.exchange(request("192.0.2.1")), OK);
    for (const client of idle) assert.equal(client.closed, false);
    for (const client of idle) client.destroy();
  });

  it("keeps a connection for the next request", async () => {
    await using line = await open();
    const client = await line.open();
    for (const [address, answer] of [
      ["192.0.2.1", OK],
      ["192.0.2.2", DUNNO],
    ] as const) {
      client.write(request(address));
      assert.equal(await receiveLength(client, answer.length), answer);
    }
    client.destroy();
  });

  it("ends when its socket is destroyed, and tolerates clients that disconnect", async () => {
    await using line = await open();
    const [first, second] = [await line.open(), await line.open()];
    second.write(request("192.0.2.1").repeat(1_000));
    await waitUntil("a question", () => line.asked.length > 0);
    second.destroy();
    line.sockets[0]?.destroy();
    await once(first, "close");
    await waitUntil("the other to end", () => line.sockets[1]?.destroyed === true);
    assert.equal(await line.exchange(request("192.0.2.1")), OK);
    assert.deepEqual(line.malformed, []);
  });
});
