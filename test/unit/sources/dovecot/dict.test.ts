import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Login } from "../../../../src/login/login.ts";
import { serveDict } from "../../../../src/sources/dovecot/dict.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const NOW = 1_795_647_850_730;
const HELLO = "H3\t2\t0\t\tpopbsmtp\n";

function transaction(id: number, user = "bob", protocol = "imap"): string {
  return `B${id}\t${user}\nS${id}\tshared/popbsmtp/${protocol}/192.0.2.1/${user}\t1795647850729025\nC${id}\n`;
}

interface Service extends AsyncDisposable {
  readonly logins: Login[];
  readonly malformed: string[];
  /** A connection, and what came back on it so far. */
  open(): { readonly socket: Socket; readonly answer: () => string };
  /** All that comes back until the connection's end. */
  ask(text: string | Buffer): Promise<string>;
}

async function service(record?: (login: Login) => Promise<boolean>): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const path = join(stack.use(temporaryDirectory()).path, "dict");
  const logins: Login[] = [];
  const malformed: string[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) =>
    serveDict(socket, {
      record: async (login) => {
        logins.push(login);
        return (await record?.(login)) ?? true;
      },
      now: () => NOW,
      onMalformed: (why) => malformed.push(why),
    }),
  );
  await new Promise<void>((resolve) => server.listen(path, resolve));
  stack.defer(() => new Promise((resolve) => server.close(() => resolve())));
  const sockets: Socket[] = [];
  stack.defer(() => sockets.forEach((socket) => socket.destroy()));
  const open = () => {
    let answer = "";
    const socket = connect(path);
    socket.setEncoding("latin1").setNoDelay();
    socket.on("data", (data) => (answer += String(data)));
    socket.on("error", () => undefined);
    sockets.push(socket);
    return { socket, answer: () => answer };
  };
  const resources = stack.move();
  return {
    logins,
    malformed,
    open,
    ask: async (text) => {
      const { socket, answer } = open();
      socket.end(text);
      await new Promise((resolve) => socket.once("close", resolve));
      return answer();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

describe("the dict service", () => {
  it("records a login and answers its commit", async () => {
    await using there = await service();
    assert.equal(await there.ask(HELLO + transaction(1)), "O1\n");
    assert.deepEqual(there.logins, [
      { address: "192.0.2.1", user: "bob", service: "imap", time: 1_795_647_850_729.025 },
    ]);
    assert.deepEqual(there.malformed, []);
  });

  it("answers once the login is recorded, and continues with the next", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    await using there = await service(() => promise);
    const { socket, answer } = there.open();
    socket.write(HELLO + transaction(1));
    await waitUntil("the login to arrive", () => there.logins.length === 1);
    assert.equal(answer(), "");
    resolve(true);
    await waitUntil("the answer", () => answer() === "O1\n");
    socket.write(transaction(2));
    await waitUntil("the next answer", () => answer() === "O1\nO2\n");
  });

  it("answers pipelined transactions in order, and handles them at the same time", async () => {
    const waiting: (() => void)[] = [];
    await using there = await service(
      () => new Promise((resolve) => waiting.push(() => resolve(true))),
    );
    const { socket, answer } = there.open();
    socket.write(HELLO + transaction(1, "a") + transaction(2, "b") + transaction(3, "c"));
    await waitUntil("the logins to arrive", () => waiting.length === 3);
    for (const finish of waiting.toReversed()) finish();
    await waitUntil("the answers", () => answer() === "O1\nO2\nO3\n");
  });

  it("reports a login that could not be recorded", async () => {
    await using there = await service(() => Promise.resolve(false));
    assert.match(
      await there.ask(HELLO + transaction(7)),
      /^F7\tpopbsmtp could not record [^\t\n]*\n$/,
    );
  });

  it("answers a client that has closed its side meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    await using there = await service(() => promise);
    const answer = there.ask(HELLO + transaction(1));
    await waitUntil("the login", () => there.logins.length === 1);
    // the end of the client's side has been read by then
    await new Promise((later) => setTimeout(later, 50));
    resolve(true);
    assert.equal(await answer, "O1\n");
  });

  it("answers a login of another service without recording it", async () => {
    await using there = await service();
    assert.equal(await there.ask(HELLO + transaction(1, "bob", "lmtp")), "O1\n");
    assert.deepEqual(there.logins, []);
  });

  it("reports a wrong key to Dovecot and in its own log", async () => {
    await using there = await service();
    const text = `${HELLO}B1\nS1\tshared/last-login/bob\t1795647850\nC1\n${transaction(2)}`;
    const why = "last_login_key: expected popbsmtp/%s/%r/%u";
    assert.equal(await there.ask(text), `F1\t${why}\nO2\n`);
    assert.deepEqual(there.malformed, [why]);
  });

  it("finds nothing, removes nothing, and does not count", async () => {
    await using there = await service();
    const text =
      "Lshared/a\tbob\nI0\t0\tshared/\tbob\nB1\nU1\tshared/a\nD1\nB2\nA2\tshared/a\t1\nC2\n";
    assert.match(await there.ask(HELLO + text), /^N\n\nAO1\nF2\t[^\t\n]+\n$/);
  });

  it("answers the requests before garbage, then disconnects and reports it once", async () => {
    await using there = await service();
    assert.equal(await there.ask(`${HELLO}${transaction(1)}garbage\ngarbage\n`), "O1\n");
    assert.equal(there.logins.length, 1);
    assert.deepEqual(there.malformed.length, 1);
  });

  it("reports an incomplete line, but not an empty connection", async () => {
    await using there = await service();
    assert.equal(await there.ask(HELLO.slice(0, -1)), "");
    assert.deepEqual(there.malformed, ["ends within a line"]);
    assert.equal(await there.ask(""), "");
    assert.equal(await there.ask(HELLO), "");
    assert.equal(there.malformed.length, 1);
  });

  it("records a login whose process has exited meanwhile", async () => {
    await using there = await service();
    const { socket } = there.open();
    socket.write(HELLO + transaction(1), () => socket.destroy());
    await waitUntil("the login to arrive", () => there.logins.length === 1);
  });

  it("reads no further than it can answer", async () => {
    await using there = await service();
    const { socket, answer } = there.open();
    socket.pause();
    const transactions = Array.from({ length: 20_000 }, (_, id) => transaction(id));
    socket.write(HELLO + transactions.join(""));
    await waitUntil("the first logins", () => there.logins.length > 0);
    socket.resume();
    await waitUntil("the last answer", () => answer().endsWith("O19999\n"));
    assert.equal(there.logins.length, 20_000);
  });
});
