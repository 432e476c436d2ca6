/**
 * The daemon and who does not keep to its protocols: it goes on answering everybody else, and does
 * not grow.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import { randomBytes } from "../support/random-bytes.ts";
import {
  askPolicy,
  askSocket,
  postLoginRequest,
  startServe,
  type Serve,
  type ServeSockets,
} from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const ROLES = ["imap", "pop3", "policy", "socketmap"] as const;
type Role = (typeof ROLES)[number];

const MIB = 1024 * 1024;

/** The daemon may have so much memory at its worst. MiB; it begins with some 65. */
const BOUND = 200;

/** A request of each kind, from or about this client. */
const REQUESTS: Readonly<Record<Role, (client: string) => string>> = {
  imap: (client) => postLoginRequest(client, "bob\tuid=1"),
  pop3: (client) => postLoginRequest(client, "bob\tuid=1"),
  policy: (client) => `request=smtpd_access_policy\nclient_address=${client}\n\n`,
  socketmap: (client) => `${`relay ${client}`.length}:relay ${client},`,
};

const ANSWERS: Readonly<Record<Role, string>> = {
  imap: "bob\tuid=1\n",
  pop3: "bob\tuid=1\n",
  policy: "action=OK\n\n",
  socketmap: "5:OK OK,",
};

/** What is no request of any kind. None of them begins one that goes on. */
const GARBAGE: Readonly<Record<string, Uint8Array>> = {
  "random bytes": randomBytes(64 * 1024),
  "NUL bytes": Buffer.alloc(64 * 1024),
  "0xFF bytes": Buffer.alloc(64 * 1024, 0xff),
  HTTP: Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  TLS: Buffer.from("16030100f8010000f40303", "hex"),
  "another version": Buffer.from("VERSION\tscript-login\t2\t0\n127.0.0.1\t192.0.2.66\tbob\n\n"),
  "a login without a user": Buffer.from("VERSION\tscript-login\t1\t0\n127.0.0.1\t192.0.2.66\n\n"),
  "a line without =": Buffer.from("request=smtpd_access_policy\nclient_address\n\n"),
  "a netstring without end": Buffer.from("999999999999999999:relay 192.0.2.66,"),
  "a negative netstring": Buffer.from("-1:relay 192.0.2.66,"),
  "terminal escapes": Buffer.from("\u001b]0;owned\u0007\u001b[2J=\r\u0085\u2028\n"),
};

describe("the daemon", () => {
  const stack = new AsyncDisposableStack();
  let box: Installation;
  let serve: Serve;

  before(async () => {
    box = stack.use(await install("sqlite"));
    serve = stack.use(await startServe(box));
    await assertAnswers(serve);
  });
  after(() => stack.disposeAsync());

  for (const [name, bytes] of Object.entries(GARBAGE)) {
    it(`takes ${name} for no request, and answers others`, async () => {
      for (const role of ROLES) {
        const answer = (await tell(serve[role], bytes)).toString("latin1");
        assert.doesNotMatch(answer, /action=OK|OK OK|bob/, role);
      }
      await assertAnswers(serve);
      assert.equal(await askPolicy(serve.policy, "192.0.2.66"), "DUNNO");
    });
  }

  it("says in its log what was wrong, in lines of its own", () => {
    const lines = serve.log().trimEnd().split("\n");
    for (const protocol of ["post-login", "policy", "socketmap"]) {
      const line = new RegExp(`^\\S+Z warning malformed-request protocol=${protocol} .*reason=`);
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

  it("answers a request that comes byte by byte", async () => {
    for (const role of ROLES) {
      const socket = createConnection(serve[role]).setNoDelay(true);
      for (const character of REQUESTS[role]("192.0.2.1")) {
        await new Promise((resolve) => socket.write(character, resolve));
      }
      assert.equal((await readAll(socket.end())).toString(), ANSWERS[role], role);
    }
  });

  it("takes a request that ends too early, wherever, for none, whether its sender waits or hangs up", async () => {
    for (const role of ROLES) {
      const request = REQUESTS[role]("192.0.2.77");
      const cuts = Array.from({ length: request.length }, (_, at) => request.slice(0, at));
      const answers = await Promise.all(cuts.map((cut) => tell(serve[role], cut)));
      for (const answer of answers) assert.doesNotMatch(answer.toString(), /OK|bob/, role);
      await Promise.all(cuts.map((cut) => hangUp(serve[role], cut)));
    }
    await assertAnswers(serve);
    const rows = await box.rows();
    assert.ok(rows.every(({ address }) => address !== "192.0.2.77"));
  });

  it("does not grow with lines of 10 MB", async () => {
    const line = Buffer.alloc(10 * MIB, "x");
    for (const role of ROLES) {
      const whole = REQUESTS[role]("192.0.2.66");
      for (const start of ["", whole.slice(0, -2), "10000:relay "]) {
        const told = await Promise.all(
          Array.from({ length: 32 }, () =>
            tell(serve[role], Buffer.concat([Buffer.from(start), line])),
          ),
        );
        for (const answer of told) assert.doesNotMatch(answer.toString(), /OK|bob/, role);
      }
      await assertAnswers(serve);
    }
    assertBounded(serve);
  });

  it("stops reading where nobody reads its answers, and does not grow", async () => {
    await using clients = new AsyncDisposableStack();
    let taken = 0;
    for (const role of ["policy", "socketmap"] as const) {
      const requests = REQUESTS[role]("192.0.2.1").repeat(1_000);
      for (let number = 0; number < 8; number++) {
        const socket = createConnection(serve[role]).on("error", () => {});
        clients.defer(() => void socket.destroy());
        const send = () => {
          socket.pause().write(requests, (error) => {
            if (error instanceof Error) return;
            taken++;
            send();
          });
        };
        send();
      }
    }
    // it has had time to take more when it has answered others ten times
    for (let earlier = -1; earlier < taken;) {
      earlier = taken;
      assert.ok(taken < 10_000, "it takes whatever is sent");
      for (let time = 0; time < 10; time++) await assertAnswers(serve);
    }
    assertBounded(serve);
  });

  it("answers others while a thousand idle connections are open at each socket, and forgets them", async () => {
    const open = () => readdirSync(`/proc/${serve.pid}/fd`).length;
    {
      await using clients = new AsyncDisposableStack();
      for (const role of ROLES) {
        const half = REQUESTS[role]("192.0.2.66").slice(0, 9);
        for (let number = 0; number < 1_000; number++) {
          const socket = createConnection(serve[role]);
          clients.defer(() => void socket.destroy());
          await once(socket, "connect");
          // idle before its request, or in it
          if (number % 2 === 0) socket.write(half);
        }
      }
      await waitUntil("all to be let in", () => open() > 4_000);
      await assertAnswers(serve);
    }
    await waitUntil("all to be forgotten", () => open() < 100);
    await assertAnswers(serve);
    assertBounded(serve);
  });
});

/** A login is recorded and both lookups know of it. */
async function assertAnswers(sockets: ServeSockets): Promise<void> {
  for (const role of ROLES) {
    const answer = await askSocket(sockets[role], REQUESTS[role]("192.0.2.1"));
    assert.equal(answer.toString(), ANSWERS[role], role);
  }
}

/** At its worst so far, not only now. */
function assertBounded({ pid }: Serve): void {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  assert.ok(peak < BOUND, `${peak} MiB`);
}

/**
 * Sends what the daemon may well not read to its end, and returns what it answers before it hangs
 * up.
 */
async function tell(path: string, bytes: string | Uint8Array): Promise<Buffer> {
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.end(bytes);
  return readAll(socket);
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // EPIPE, ECONNRESET: it has hung up
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks);
}

/** Sends something and is gone. */
async function hangUp(path: string, bytes: string): Promise<void> {
  const socket = createConnection(path);
  await once(socket, "connect");
  await new Promise((resolve) => socket.write(bytes, resolve));
  socket.destroy();
}
