/**
 * The daemon among those who send it more than it can take, or keep connections that they do not
 * use.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { readdirSync } from "node:fs";
import { describe, it, test } from "node:test";
import { Conversation } from "../support/conversation.ts";
import { freePort } from "../support/free-port.ts";
import { install } from "../support/installation.ts";
import { startPostfix } from "../support/postfix.ts";
import {
  askPolicy,
  askSocket,
  postLoginRequest,
  startServe,
  type Serve,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

/**
 * A process that floods until it is disposed of: `port` with datagrams of one byte, or what is at
 * `path` or `port` with connections.
 */
async function flood(kind: "udp" | "tcp" | "unix", where: string | number): Promise<Disposable> {
  const program = `
    const [kind, where] = process.argv.slice(1);
    const socket = require("dgram").createSocket("udp4");
    const connect = () => require("net").connect(kind === "unix" ? { path: where } : { host: "127.0.0.1", port: where })
      .on("error", () => undefined).on("connect", function () { setTimeout(() => this.destroy(), 100) });
    const burst = () => {
      for (let n = 0; n < 20; n++) kind === "udp" ? socket.send("x", where, "127.0.0.1", () => undefined) : connect();
      setImmediate(burst);
    };
    burst();
    console.log("flooding");`;
  const child = spawn(process.execPath, ["-e", program, kind, String(where)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

async function logIn({ imap }: Serve, user: string): Promise<void> {
  const answer = await askSocket(imap, postLoginRequest("192.0.2.1", user));
  assert.equal(answer.toString(), `${user}\n`);
}

describe("the daemon answers logins and ends when it is told to, in a flood", () => {
  it("of datagrams from hosts that are not allowed", async () => {
    await using box = await install("sqlite");
    const port = await freePort();
    await using serve = await startServe(
      box,
      `drac = "127.0.0.1:${String(port)}"\ndrac-allow = ["192.0.2.1"]`,
    );
    using stack = new DisposableStack();
    stack.use(await flood("udp", port));
    await waitUntil("the flood to arrive", () => / repeated=\d{3}/.test(serve.log()));
    await logIn(serve, "bob");
    assert.equal(await serve.stop(), 0);
  });

  it("of connections over TCP from hosts that are not allowed", async () => {
    await using box = await install("sqlite");
    const port = await freePort();
    await using serve = await startServe(
      box,
      `drac = "127.0.0.1:${String(port)}"\ndrac-allow = ["192.0.2.1"]`,
    );
    using stack = new DisposableStack();
    stack.use(await flood("tcp", port));
    await logIn(serve, "bob");
    assert.equal(await serve.stop(), 0);
  });

  for (const role of ["policy", "socketmap"] as const) {
    it(`of connections to ${role}`, async () => {
      await using box = await install("sqlite");
      await using serve = await startServe(box);
      using stack = new DisposableStack();
      stack.use(await flood("unix", serve[role]));
      await logIn(serve, "bob");
      assert.equal(await serve.stop(), 0);
    });
  }
});

/** Descriptors of a daemon that is to run out of them. */
const DESCRIPTORS = 160;

const FEW = ["bash", "-c", `ulimit -n ${String(DESCRIPTORS)}; exec "$@"`, "-"];

/** Connects so often to a socket, and does nothing more. */
async function idle(path: string, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(path).on("error", () => undefined));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  return sockets;
}

test("idle connections leave descriptors for logins, and lookups are answered all the same", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box, "", FEW);
  const sockets: Socket[] = [];
  for (const path of [serve.policy, serve.socketmap]) sockets.push(...(await idle(path, 500)));
  await Promise.all(Array.from({ length: 20 }, (_, n) => logIn(serve, `user${String(n)}`)));
  assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
  assert.equal(await askPolicy(serve.policy, "192.0.2.2"), "DUNNO");
  assert.ok(readdirSync(`/proc/${String(serve.pid)}/fd`).length < DESCRIPTORS / 2 + 64);
  assert.doesNotMatch(serve.log(), /internal-error|accept-failed/);
  for (const socket of sockets) socket.destroy();
  assert.equal(await serve.stop(), 0);
});

// it does so after smtpd_policy_service_retry_delay, a second
test("Postfix asks again on a new connection where its idle one was closed", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box, "", FEW);
  await logIn(serve, "bob");
  await using postfix = await startPostfix({
    mainCf: `smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_relay_restrictions = check_policy_service { unix:${serve.policy}, timeout=2s, default_action=DUNNO }, reject`,
  });
  using client = await Conversation.open({ host: "127.0.0.1", port: postfix.port });
  const say = async (line: string, reply: RegExp) => {
    client.send(line);
    await client.expect(reply);
  };
  await client.expect(/^220 .*\r\n/m);
  await say("XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1", /^220 .*\r\n/m);
  await say("EHLO client.example.net", /^250 .*\r\n/m);
  for (let message = 0; message < 3; message++) {
    await say("MAIL FROM:<sender@example.com>", /^250 .*\r\n/m);
    await say("RCPT TO:<somebody@example.net>", /^250 .*\r\n/m);
    // more than there may be: Postfix's, which is idle by now, is closed
    for (const socket of await idle(serve.policy, DESCRIPTORS)) socket.destroy();
    await say("RSET", /^250 .*\r\n/m);
  }
  assert.doesNotMatch(postfix.log(), /warning|45[14]/);
});
