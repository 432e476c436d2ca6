import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Login } from "../../../../src/login/login.ts";
import { parsePostLogin, servePostLogin } from "../../../../src/sources/dovecot/post-login.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const VERSION = "VERSION\tscript-login\t1\t0\n";

function request(...fields: readonly string[]): Buffer {
  return Buffer.from(`${VERSION}${fields.join("\t")}\n`);
}

describe("a post-login request", () => {
  it("names the client's address and the user, and is answered with the fields after the address", () => {
    const line = ["127.0.0.1", "::ffff:192.0.2.1", "bob", "mail=maildir:~/Maildir", "nopipe"];
    assert.deepEqual(parsePostLogin(request(...line)), {
      address: "192.0.2.1",
      user: "bob",
      reply: Buffer.from("bob\tmail=maildir:~/Maildir\tnopipe\n"),
    });
  });

  it("keeps every byte for the answer: slashes, escapes, invalid UTF-8", () => {
    const fields = Buffer.from(
      "bob\tnamespace/inbox/prefix=X\x01tY\x01nZ\tbytes=\xff\xfe\n",
      "latin1",
    );
    const bytes = Buffer.concat([
      request("::1", "2001:db8::1").subarray(0, -1),
      Buffer.from("\t"),
      fields,
    ]);
    assert.deepEqual(parsePostLogin(bytes).reply, fields);
  });

  it("has a user name without its escapes", () => {
    const { user } = parsePostLogin(request("", "192.0.2.1", "a\x01tb\x01nc\x01rd\x011e\x01"));
    assert.equal(user, "a\tb\nc\rd\u0001e\u0001");
  });

  it("may lack an address", () => {
    for (const address of ["", "unix", "192.0.2.1.5"]) {
      assert.equal(parsePostLogin(request("", address, "bob")).address, undefined);
    }
  });

  for (const [what, bytes] of Object.entries({
    "another protocol": Buffer.from("VERSION\tauth\t1\t0\na\tb\tc\n"),
    "another major version": Buffer.from("VERSION\tscript-login\t2\t0\na\tb\tc\n"),
    "no version": Buffer.from("a\tb\tc\na\tb\tc\n"),
    "no user": request("127.0.0.1", "192.0.2.1"),
    "an empty user": request("127.0.0.1", "192.0.2.1", ""),
    "an empty line": request(""),
  })) {
    it(`is malformed with ${what}`, () => {
      assert.throws(() => parsePostLogin(bytes));
    });
  }
});

interface Service extends AsyncDisposable {
  readonly logins: Login[];
  readonly malformed: string[];
  /**
   * Sends pieces one after the other; resolves with all that came back until the connection's end.
   */
  ask(pieces: Iterable<Buffer>): Promise<string>;
}

async function service(record?: (login: Login) => Promise<unknown>): Promise<Service> {
  const directory = temporaryDirectory();
  const path = join(directory.path, "imap");
  const logins: Login[] = [];
  const malformed: string[] = [];
  const server = createServer((socket) =>
    servePostLogin(socket, {
      service: "imap",
      record: async (login) => {
        logins.push(login);
        await record?.(login);
      },
      now: () => 1_772_000_000_000,
      onMalformed: (why) => malformed.push(why),
    }),
  );
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    logins,
    malformed,
    ask: (pieces) =>
      new Promise((resolve) => {
        let answer = "";
        const socket = connect(path);
        socket.setEncoding("latin1").setNoDelay();
        socket.on("data", (data) => (answer += String(data)));
        socket.on("error", () => undefined).on("close", () => resolve(answer));
        for (const piece of pieces) socket.write(piece);
      }),
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
      await directory[Symbol.asyncDispose]();
    },
  };
}

function* bytesOf(buffer: Buffer): Iterable<Buffer> {
  for (let at = 0; at < buffer.length; at++) yield buffer.subarray(at, at + 1);
}

const GOOD = request("127.0.0.1", "192.0.2.1", "bob", "a=b");

describe("the post-login service", () => {
  it("records the login, answers with the same bytes, and closes", async () => {
    await using there = await service();
    assert.equal(await there.ask([GOOD]), "bob\ta=b\n");
    assert.deepEqual(there.logins, [
      { address: "192.0.2.1", user: "bob", service: "imap", time: 1_772_000_000_000 },
    ]);
  });

  it("reads a request byte by byte, and in two pieces", async () => {
    await using there = await service();
    assert.equal(await there.ask(bytesOf(GOOD)), "bob\ta=b\n");
    for (let at = 1; at < GOOD.length; at++) {
      assert.equal(await there.ask([GOOD.subarray(0, at), GOOD.subarray(at)]), "bob\ta=b\n");
    }
  });

  it("answers once the login is recorded", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using there = await service(() => promise);
    let answered = false;
    const answer = there.ask([GOOD]).then((text) => {
      answered = true;
      return text;
    });
    while (there.logins.length === 0) await new Promise(setImmediate);
    assert.equal(answered, false);
    resolve();
    assert.equal(await answer, "bob\ta=b\n");
  });

  it("lets in a user without an address, and records nothing", async () => {
    await using there = await service();
    assert.equal(await there.ask([request("", "", "bob")]), "bob\n");
    assert.deepEqual(there.logins, []);
  });

  it("closes a malformed request without an answer, reports it once, and serves others", async () => {
    await using there = await service();
    for (const bytes of [
      Buffer.from("GET / HTTP/1.0\r\n\r\n"),
      Buffer.from("\n\n"),
      Buffer.alloc(10_000_000, "x"),
      Buffer.concat([Buffer.from(VERSION), Buffer.alloc(10_000_000, "\t")]),
    ]) {
      there.malformed.length = 0;
      assert.equal(await there.ask([bytes]), "");
      assert.equal(there.malformed.length, 1);
      assert.equal(await there.ask([GOOD]), "bob\ta=b\n");
    }
  });
});
