import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { describe, it } from "node:test";
import { Datagrams, type AnswerDatagram } from "../../../../src/daemon/sockets/datagrams.ts";
import { requireRoot } from "../../../support/accounts.ts";
import { runOk } from "../../../support/run.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

/** A bound socket, closed at dispose, and why something was dropped. */
async function bind(place = LOOPBACK, patience = 0) {
  const dropped: string[] = [];
  const datagrams = await Datagrams.bind(place, patience, (why) => dropped.push(why));
  let closed = false;
  const close = async (ms: number) => {
    closed = true;
    await datagrams.close(ms);
  };
  return {
    datagrams,
    dropped,
    close,
    [Symbol.asyncDispose]: async () => {
      if (!closed) await close(0);
    },
  };
}

/** Somebody who sends, and the datagrams that come back. */
async function sender(datagrams: Datagrams) {
  const { host, port } = datagrams.place;
  const socket: Socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const answers: string[] = [];
  socket.on("message", (answer) => answers.push(String(answer)));
  socket.connect(port, host);
  await once(socket, "connect");
  return {
    answers,
    send: (text: string) => new Promise((resolve) => socket.send(text, resolve)),
    [Symbol.dispose]: () => void socket.close(),
  };
}

/** Sends a datagram to a port of 127.0.0.1 as nobody's socket can. */
async function sendFromPortZero(port: number, text: string): Promise<void> {
  const program = `use Socket;
    my ($port, $text) = @ARGV;
    socket(my $raw, PF_INET, SOCK_RAW, getprotobyname("udp")) or die $!;
    my $to = pack_sockaddr_in($port, inet_aton("127.0.0.1"));
    send($raw, pack("nnnna*", 0, $port, 8 + length $text, 0, $text), 0, $to) or die $!;`;
  await runOk("perl", ["-e", program, String(port), text]);
}

const echo: AnswerDatagram = (datagram, from) =>
  Promise.resolve(Buffer.from(`${from} ${datagram.toString()}`));

describe("a UDP socket", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    it(`at ${host} answers each datagram, waiting ones first`, async () => {
      await using bound = await bind({ host, port: 0 });
      using client = await sender(bound.datagrams);
      await client.send("early");
      bound.datagrams.start(echo);
      await client.send("late");
      await waitUntil("both answers", () => client.answers.length === 2);
      assert.deepEqual(client.answers, [`${host} early`, `${host} late`]);
    });
  }

  it("reports an IPv4 sender by its IPv4 address if it serves both families", async () => {
    await using bound = await bind({ host: "::", port: 0 });
    bound.datagrams.start(echo);
    const { port } = bound.datagrams.place;
    const socket = createSocket("udp4");
    socket.send("x", port, "127.0.0.1");
    const [answer] = await once(socket, "message");
    socket.close();
    assert.equal(String(answer), "127.0.0.1 x");
  });

  it("sends nothing without an answer, and continues", async () => {
    await using bound = await bind();
    bound.datagrams.start((datagram, from) =>
      datagram.length === 0 ? Promise.resolve(undefined) : echo(datagram, from),
    );
    using client = await sender(bound.datagrams);
    await client.send("");
    await client.send("x");
    await waitUntil("an answer", () => client.answers.length > 0);
    assert.deepEqual(client.answers, ["127.0.0.1 x"]);
  });

  it("drops datagrams longer than any call", async () => {
    await using bound = await bind();
    bound.datagrams.start(echo);
    using client = await sender(bound.datagrams);
    await client.send("x".repeat(1_025));
    await client.send("y".repeat(1_024));
    await waitUntil("an answer", () => client.answers.length > 0);
    assert.deepEqual(client.answers, [`127.0.0.1 ${"y".repeat(1_024)}`]);
    assert.deepEqual(bound.dropped, ["longer than 1024 bytes"]);
  });

  it("handles a thousand at a time, and drops more", async () => {
    await using bound = await bind();
    let asked = 0;
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    bound.datagrams.start(async (datagram, from) => {
      asked++;
      await gate;
      return echo(datagram, from);
    });
    using client = await sender(bound.datagrams);
    await waitUntil("more than there is room for", async () => {
      for (let number = 0; number < 100; number++) await client.send("x");
      return bound.dropped.length > 0;
    });
    assert.equal(asked, 1_000);
    assert.equal(bound.dropped[0], "1000 are already being processed");
    open();
    await waitUntil("there to be room again", async () => {
      await client.send("y");
      return client.answers.includes("127.0.0.1 y");
    });
  });

  it("answers datagrams that have arrived before it closes, but does not wait for ever", async () => {
    const bound = await bind();
    using client = await sender(bound.datagrams);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    bound.datagrams.start((datagram, from) => {
      arrive();
      return gate.then(() => echo(datagram, from));
    });
    await client.send("x");
    await arrived;
    const closing = bound.close(60_000);
    open();
    await closing;
    await waitUntil("the answer", () => client.answers.length === 1);

    const stuck = await bind();
    using other = await sender(stuck.datagrams);
    const { promise: asked, resolve: told } = Promise.withResolvers<void>();
    stuck.datagrams.start(() => {
      told();
      return new Promise(() => undefined);
    });
    await other.send("x");
    await asked;
    await stuck.close(1);
  });

  it("closes in an endless flood, once earlier datagrams are answered", async () => {
    const bound = await bind();
    using client = await sender(bound.datagrams);
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    bound.datagrams.start((datagram, from) => {
      arrive();
      return echo(datagram, from);
    });
    await client.send("first");
    await arrived;
    let flooding = true;
    const flood = () => {
      if (!flooding) return;
      for (let number = 0; number < 50; number++) void client.send("x");
      setImmediate(flood);
    };
    flood();
    await bound.close(60_000);
    flooding = false;
    await waitUntil("the first answer", () => client.answers.includes("127.0.0.1 first"));
  });

  it("drops the answer to a sender at port 0, and one that is late", async () => {
    requireRoot("raw(7)");
    const bound = await bind();
    const asked: Buffer[] = [];
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    bound.datagrams.start(async (datagram, from) => {
      asked.push(datagram);
      if (datagram.toString() === "late") await gate;
      return echo(datagram, from);
    });
    await sendFromPortZero(bound.datagrams.place.port, "zero");
    using client = await sender(bound.datagrams);
    await client.send("late");
    await waitUntil("both", () => asked.length === 2);
    await bound.close(1);
    open();
    // an exception would be this test's end
    await new Promise(setImmediate);
    assert.deepEqual(client.answers, []);
  });

  it("drops answers that cannot be sent, reports why, and continues", async () => {
    await using bound = await bind();
    bound.datagrams.start((datagram, from) =>
      datagram.toString() === "bad" ? Promise.reject(new Error("broken")) : echo(datagram, from),
    );
    using client = await sender(bound.datagrams);
    await client.send("bad");
    await client.send("good");
    await waitUntil("an answer", () => client.answers.length > 0);
    assert.deepEqual(bound.dropped, ["broken"]);
  });

  it("rejects a handed-over socket that is not for datagrams", async () => {
    const fd = openSync("/dev/null", "r");
    await assert.rejects(
      Datagrams.bind({ name: "relay-ctrl", fd }, 0, () => undefined),
      {
        exitStatus: 78,
        message: "relay-ctrl: no datagram socket was passed; expected ListenDatagram=",
      },
    );
    closeSync(fd);
  });

  it("waits for another daemon to release the port, or reports that it is occupied", async () => {
    const first = await bind();
    const { place } = first.datagrams;
    await assert.rejects(bind(place), {
      exitStatus: 73,
      message: `127.0.0.1:${place.port}: another process listens there; stop it or name another`,
    });
    const second = bind(place, 30_000);
    await first.close(0);
    await using taken = await second;
    assert.equal(taken.datagrams.place.port, place.port);
  });
});
