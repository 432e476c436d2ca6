/**
 * The daemon and who tells it of logins over the network: relay-ctrl-send, and whoever does not
 * keep to DRAC's or its protocol.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { freePort } from "../support/free-port.ts";
import { install, type Installation } from "../support/installation.ts";
import { randomBytes } from "../support/random-bytes.ts";
import { MACHINE_ADDRESS, startRpcMachine } from "../support/rpc-machine.ts";
import { PLAIN_ENV, run } from "../support/run.ts";
import { askPolicy, configureServe, startServe, type Serve } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/** The daemon may have so much memory at its worst. MiB; it begins with some 65. */
const BOUND = 200;

/**
 * Sends datagrams to a port of 127.0.0.1 from an address of loopback, and keeps what is answered.
 */
async function sender(port: number, from = "127.0.0.1") {
  const socket = createSocket("udp4");
  const answers: Buffer[] = [];
  socket.on("message", (answer) => answers.push(answer));
  socket.bind(0, from);
  await once(socket, "listening");
  return {
    answers,
    send: (datagram: string | Buffer) =>
      new Promise((resolve) => socket.send(datagram, port, "127.0.0.1", resolve)),
    [Symbol.dispose]: () => void socket.close(),
  };
}

/** Tells it of an address as relay-ctrl-send does, until it answers. */
async function tell(port: number, address: string): Promise<Buffer> {
  using client = await sender(port);
  await waitUntil("an answer", async () => {
    await client.send(address);
    return client.answers.length > 0;
  });
  return client.answers[0] ?? Buffer.alloc(0);
}

/** A call of DRAC's for 192.0.2.66, and the record that it is over TCP. */
const CALL = Buffer.from(
  `deadbeef0000000000000002000dbc050000000100000001${"0".repeat(32)}c0000242`,
  "hex",
);
const record = (bytes: Buffer) =>
  Buffer.concat([Buffer.from([0x80, 0, bytes.length >> 8, bytes.length & 0xff]), bytes]);

describe("relay-ctrl-udp's part", () => {
  it("opens the relay for whom a datagram says, and answers it with one byte", async () => {
    await using box = await install("sqlite");
    const port = await freePort();
    await using serve = await startServe(box, `relay-ctrl-udp = "127.0.0.1:${port}"`);
    for (const [datagram, address] of [
      ["192.0.2.1", "192.0.2.1"],
      ["::ffff:192.0.2.2", "192.0.2.2"],
    ] as const) {
      assert.equal(await askPolicy(serve.policy, address), "DUNNO");
      assert.deepEqual(await tell(port, datagram), Buffer.of(1));
      assert.equal(await askPolicy(serve.policy, address), "OK");
    }
    const rows = (await box.rows()).map(({ address, user, service }) => [address, user, service]);
    assert.deepEqual(rows, [
      ["192.0.2.2", "", "relay-ctrl"],
      ["192.0.2.1", "", "relay-ctrl"],
    ]);
  });

  it("is at port 811, though the daemon is root no more; takes the word of this host, and of others that are allowed", async () => {
    await using machine = await startRpcMachine();
    await using box = await install("sqlite");
    await using serve = await startServe(box, 'relay-ctrl-udp = "0.0.0.0:811"', machine.enter);
    const [nsenter = "", ...rest] = machine.enter;
    const script = `exec 3<>/dev/udp/$1/811; printf %s "$2" >&3; timeout 5 head -c 1 <&3 | od -An -tx1`;
    const send = async (host: string, address: string) => {
      const { stdout } = await run(nsenter, [...rest, "bash", "-c", script, "-", host, address]);
      return stdout.toString().trim();
    };
    assert.equal(await send("127.0.0.1", "192.0.2.1"), "01");
    assert.equal(await send(MACHINE_ADDRESS, "192.0.2.2"), "01");
    // still there after a reload, which could not open it again
    assert.match(await serve.reload(), / info reloaded$/);
    assert.equal(await send("127.0.0.1", "192.0.2.3"), "01");
    assert.equal(await askPolicy(serve.policy, "192.0.2.3"), "OK");
  });

  it("is told by popbsmtp on another host, whose store it is", async () => {
    await using near = await install("sqlite");
    await using far = await install("sqlite");
    const port = await freePort();
    await using serve = await startServe(far, `relay-ctrl-udp = "127.0.0.1:${port}"`);
    const [top = ""] = readFileSync(near.config, "utf8").split("[store]");
    writeFileSync(
      near.config,
      `${top}[store]\ndriver = "relay-ctrl"\npath = false\nremotes = ["127.0.0.1"]\nport = ${port}\n`,
    );
    await near.popbsmtp("allow", "192.0.2.1");
    assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
  });

  it("may be at a socket that systemd has opened, and takes what has come in before", async () => {
    await using box = await install("sqlite");
    configureServe(box, "relay-ctrl-udp = false");
    const port = await freePort();
    const activate = spawn(
      "systemd-socket-activate",
      ["--datagram", "--listen", `127.0.0.1:${port}`, "--fdname=relay-ctrl"].concat([
        box.program,
        "--config",
        box.config,
        "serve",
      ]),
      { env: { ...PLAIN_ENV }, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    activate.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
    try {
      assert.deepEqual(await tell(port, "192.0.2.1"), Buffer.of(1));
      assert.match(said, / info ready .*relay-ctrl=relay-ctrl/);
    } finally {
      activate.kill("SIGTERM");
      await once(activate, "close");
    }
    assert.deepEqual(
      (await box.rows()).map(({ address }) => address),
      ["192.0.2.1"],
    );
  });
});

describe("the daemon bears what is no call and no datagram of theirs:", () => {
  const stack = new AsyncDisposableStack();
  let box: Installation;
  let serve: Serve;
  let drac: number;
  let relayCtrl: number;

  before(async () => {
    [drac, relayCtrl] = [await freePort(), await freePort()];
    box = stack.use(await install("sqlite"));
    serve = stack.use(
      await startServe(
        box,
        `drac = "127.0.0.1:${drac}"\nrelay-ctrl-udp = "127.0.0.1:${relayCtrl}"\n` +
          `drac-allow = ["127.0.0.1"]`,
      ),
    );
  });
  after(() => stack.disposeAsync());

  /** All that is answered until it hangs up. */
  const call = async (bytes: Buffer, localAddress = "127.0.0.1"): Promise<Buffer> => {
    const socket = createConnection({ host: "127.0.0.1", port: drac, localAddress });
    socket.end(bytes);
    return readAll(socket);
  };

  const assertAnswers = async () => {
    const reply = `8000001cdeadbeef00000001${"0".repeat(24)}0000000000000000`;
    assert.equal((await call(record(CALL))).toString("hex"), reply);
    assert.deepEqual(await tell(relayCtrl, "192.0.2.66"), Buffer.of(1));
    assert.equal(await askPolicy(serve.policy, "192.0.2.66"), "OK");
  };

  const assertBounded = () => {
    const status = readFileSync(`/proc/${serve.pid}/status`, "utf8");
    const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
    assert.ok(peak < BOUND, `${peak} MiB`);
  };

  it("thousands of datagrams", async () => {
    const noise = randomBytes(30_000);
    for (const port of [drac, relayCtrl]) {
      using client = await sender(port);
      for (let number = 0; number < 5_000; number++) {
        const damaged = Buffer.from(CALL);
        damaged.writeUInt8(noise.readUInt8(number), noise.readUInt8(number + 1) % 40);
        const length = noise.readUInt8(number + 2);
        await client.send(number % 2 === 0 ? damaged : noise.subarray(number, number + length));
      }
      await client.send(Buffer.alloc(60_000, 0xff));
    }
    await assertAnswers();
    assertBounded();
    // damaged or not, no call was for another address
    assert.ok((await box.rows()).every(({ address }) => address === "192.0.2.66"));
  });

  it("records that are too long, have no end, or are no calls", async () => {
    const noise = randomBytes(200_000);
    const endless = Buffer.concat([Buffer.from("7fffffff", "hex"), Buffer.alloc(1_000_000)]);
    for (const bytes of [
      noise,
      endless,
      Buffer.alloc(100_000),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      record(CALL.subarray(0, 20)),
      ...Array.from({ length: CALL.length }, (_, at) => record(CALL).subarray(0, at)),
      ...Array.from({ length: 1_000 }, (_, at) => record(noise.subarray(at, at + (at % 200)))),
    ]) {
      const answer = await call(bytes);
      assert.doesNotMatch(answer.toString("hex"), /0000000000000000$/);
    }
    await assertAnswers();
    assertBounded();
  });

  it("calls in fragments of a byte, one after the other without waiting", async () => {
    const fragments = Buffer.concat(
      Array.from(CALL, (byte, at) =>
        Buffer.from([at === CALL.length - 1 ? 0x80 : 0, 0, 0, 1, byte]),
      ),
    );
    const answer = await call(Buffer.concat(Array.from({ length: 100 }, () => fragments)));
    assert.equal(answer.length, 100 * 32);
  });

  it("more connections than there may be, of those who may not call, too", async () => {
    await using clients = new AsyncDisposableStack();
    for (const localAddress of ["127.0.0.2", "127.0.0.1"]) {
      for (let number = 0; number < 300; number++) {
        const socket = createConnection({ host: "127.0.0.1", port: drac, localAddress });
        socket.on("error", () => {});
        clients.defer(() => void socket.destroy());
        await once(socket, "connect");
        if (number === 150 && localAddress === "127.0.0.2") await assertAnswers();
      }
    }
    using client = await sender(drac);
    await client.send(CALL);
    await waitUntil("an answer over UDP", () => client.answers.length > 0);
    assert.equal(await askPolicy(serve.policy, "192.0.2.66"), "OK");
    assertBounded();
  });

  it("callers who may not: they are denied, over UDP and TCP, and logged", async () => {
    const denied = /^deadbeef00000001(?:00000000){4}00000001$/;
    using client = await sender(drac, "127.0.0.3");
    await client.send(CALL);
    await waitUntil("an answer", () => client.answers.length > 0);
    assert.match(client.answers[0]?.toString("hex") ?? "", denied);
    await waitUntil("room", async () => (await call(record(CALL), "127.0.0.3")).length > 0);
    assert.match(serve.log(), / warning denied protocol=drac sender=127\.0\.0\.3$/m);
  });

  it("and says so in its log, in lines of its own", () => {
    const lines = serve.log().trimEnd().split("\n");
    for (const protocol of ["drac", "relay-ctrl"]) {
      const line = new RegExp(`^\\S+Z warning malformed-request protocol=${protocol} reason=`);
      assert.ok(
        lines.some((text) => line.test(text)),
        protocol,
      );
    }
    for (const line of lines) {
      assert.match(line, /^\S+Z (?:info|warning) [a-z-]+ /);
      assert.doesNotMatch(line, /\p{Cc}/u);
    }
  });
});

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // EPIPE, ECONNRESET: it has hung up
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks);
}
