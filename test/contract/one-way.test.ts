/**
 * Stores that are only told: a dracd, and a relay-ctrl-udp, each played over UDP so that it can
 * lose, garble and refuse.
 */
import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { parseAddress } from "../../src/login/address.ts";
import { StoreAwayError, UnsupportedError } from "../../src/lib/errors.ts";
import type { Login } from "../../src/login/login.ts";
import { loadConfig } from "../../src/config/reading/load.ts";
import type { StoreConfig } from "../../src/config/config.ts";
import type { Store } from "../../src/stores/store.ts";
import { requireRoot } from "../support/accounts.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { openAll } from "./all-stores.ts";
import { LIFETIME } from "./subject.ts";

const NOW = 1_772_532_001_000;

/** Of loopback, where nothing else is: rpcbind's port cannot be another one. */
const HOST = "127.0.111.1";

function login(address: string, age = 0): Login {
  const parsed = parseAddress(address);
  assert.ok(parsed !== undefined);
  return { address: parsed, user: "bob", service: "imap", time: NOW - age };
}

/** A UDP socket that answers each datagram with what `answer` says, and remembers them. */
async function peer(port: number, answer: (datagram: Buffer) => Buffer | undefined) {
  const socket = createSocket("udp4");
  const received: Buffer[] = [];
  socket.on("message", (datagram, sender: RemoteInfo) => {
    received.push(datagram);
    const reply = answer(datagram);
    if (reply !== undefined) socket.send(reply, sender.port, sender.address);
  });
  socket.bind(port, HOST);
  await once(socket, "listening");
  return {
    port: socket.address().port,
    received,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}

const defaults = await loadConfig(undefined, "/nonexistent/popbsmtp.toml");

/** The store as the only one that is configured. */
function openOnly(store: StoreConfig): Store {
  const spool = temporaryDirectory().path;
  return openAll({ ...defaults, lifetime: LIFETIME, spool, stores: [store] });
}

/** What holds for both. */
function sentences(open: () => { readonly store: Store; readonly told: () => readonly string[] }) {
  it("is told of each address once, of none that is too old, and of nothing else", async () => {
    const { store, told } = open();
    await store.authorize([], NOW);
    const batch = [
      login("192.0.2.1"),
      login("192.0.2.2", LIFETIME - 1),
      login("192.0.2.1", 60_000),
      login("192.0.2.3", LIFETIME),
    ];
    await store.authorize(batch, NOW);
    assert.deepEqual(told().toSorted(), ["192.0.2.1", "192.0.2.2"]);
    await store.close();
  });

  it("is told of a thousand", async () => {
    const { store, told } = open();
    const batch = Array.from({ length: 1_000 }, (_, n) => login(`198.51.${n >> 8}.${n & 255}`));
    await store.authorize(batch, NOW);
    assert.deepEqual(new Set(told()), new Set(batch.map(({ address }) => address)));
    await store.close();
  });

  it("has no way to be asked, or to take back, and says so", async () => {
    const { store } = open();
    for (const verb of [
      () => store.lookup(login("192.0.2.1").address),
      () => store.list(),
      () => store.count(),
      () => store.revoke({ user: "bob" }),
      () => store.purge(),
    ]) {
      await assert.rejects(verb, (error) => {
        assert.ok(error instanceof UnsupportedError);
        return error.message.startsWith(`store: ${store.name}: cannot `);
      });
    }
  });

  it("has nothing to install, and no version", async () => {
    const { store } = open();
    assert.deepEqual(await store.install(), { from: undefined, to: undefined });
    assert.equal(await store.schemaVersion(), undefined);
    await store.close();
  });

  it("can be closed twice, and before it was used, and used after it", async () => {
    const { store, told } = open();
    await store.close();
    await store.close();
    await store.authorize([login("192.0.2.1")], NOW);
    assert.deepEqual(told(), ["192.0.2.1"]);
    await store.close();
  });
}

describe("a dracd", () => {
  const stack = new AsyncDisposableStack();
  /** Answers as rpcbind and dracd do, unless a test has something else in mind. */
  let asked: (call: Buffer) => Buffer | undefined = portReply;
  let told: (call: Buffer) => Buffer | undefined = (call) => done(call, 0);
  let calls: readonly Buffer[] = [];
  let rpcbind: Awaited<ReturnType<typeof peer>>;
  let dracd: Awaited<ReturnType<typeof peer>>;

  before(async () => {
    requireRoot("rpcbind's port");
    dracd = stack.use(await peer(0, (call) => told(call)));
    rpcbind = stack.use(await peer(111, (call) => asked(call)));
    calls = dracd.received;
  });
  after(() => stack.disposeAsync());

  const open = () => {
    asked = portReply;
    told = (call) => done(call, 0);
    dracd.received.length = 0;
    rpcbind.received.length = 0;
    return openOnly({ driver: "drac", host: HOST });
  };
  function portReply(call: Buffer): Buffer {
    return done(call, dracd.port);
  }

  sentences(() => ({
    store: open(),
    told: () => calls.map((call) => [...call.subarray(-4)].join(".")),
  }));

  it("is called in these bytes, and rpcbind before it, once", async () => {
    const store = open();
    await store.authorize([login("192.0.2.1")], NOW);
    await store.authorize([login("192.0.2.2")], NOW);
    await store.authorize([login("2001:db8::b8ff")], NOW);
    const bodies = (all: readonly Buffer[]) => all.map((call) => call.toString("hex", 4));
    const none = "0".repeat(32);
    const ask = (version: number) =>
      `0000000000000002000186a00000000200000003${none}000dbc050000000${version}0000001100000000`;
    assert.deepEqual(bodies(rpcbind.received), [ask(1), ask(2)]);
    const add = (version: number) => `0000000000000002000dbc050000000${version}00000001${none}`;
    assert.deepEqual(bodies(calls), [
      `${add(1)}c0000201`,
      `${add(1)}c0000202`,
      `${add(2)}00000020000000010000000dffffffb8${"0".repeat(80)}ffffffb8ffffffff`,
    ]);
    await store.close();
  });

  it("is called again where a call or its answer gets lost, or garbled", async () => {
    const store = open();
    let number = 0;
    const lossy = (answer: (call: Buffer) => Buffer) => (call: Buffer) => {
      switch (number++ % 4) {
        case 0:
          return undefined;
        case 1:
          return answer(call).subarray(0, 20);
        case 2:
          // somebody else's answer
          return Buffer.concat([Buffer.from("00000000", "hex"), answer(call).subarray(4)]);
        default:
          return answer(call);
      }
    };
    told = lossy((call) => done(call, 0));
    await store.authorize([login("192.0.2.1")], NOW);
    assert.equal(calls.length, 4);
    assert.equal(new Set(calls.map(String)).size, 1);
    await store.close();
  });

  it("that has moved to another port is found there", async () => {
    const store = open();
    {
      await using old = await peer(0, (call) => done(call, 0));
      asked = (call) => done(call, old.port);
      await store.authorize([login("192.0.2.1")], NOW);
      assert.equal(old.received.length, 1);
    }
    asked = portReply;
    await store.authorize([login("192.0.2.2")], NOW);
    assert.equal(calls.length, 1);
    await store.close();
  });

  it("without version 2 is told of the others, whether rpcbind says so or it does itself", async () => {
    const batch = [login("192.0.2.1"), login("2001:db8::1")];
    for (const change of [
      () => (asked = (call) => (call.readUInt32BE(44) === 2 ? done(call, 0) : portReply(call))),
      () => (told = (call) => (call.readUInt32BE(16) === 2 ? mismatch(call) : done(call, 0))),
    ]) {
      const store = open();
      change();
      await store.authorize(batch, NOW);
      assert.equal(calls.filter((call) => call.length === 44).length, 1);
      await store.close();
    }
  });

  for (const [what, result, problem] of [
    ["denies it", (call: Buffer) => done(call, 1), /permission denied: its dracd\.allow has to/],
    ["reports a system error", (call: Buffer) => done(call, 2), /reports a system error/],
    ["does not know why", (call: Buffer) => done(call, 3), /reports an unknown error/],
    ["answers with nothing", (call: Buffer) => done(call), /reports an unknown error/],
    ["is another program", (call: Buffer) => accepted(call, 1), /does not know this program/],
    ["has no version 1", mismatch, /does not know this version/],
    ["asks for credentials", denied, /asks for credentials/],
  ] as const) {
    it(`that ${what} is an outage, and says which`, async () => {
      const store = open();
      told = result;
      const telling = store.authorize([login("192.0.2.1")], NOW);
      await assert.rejects(telling, (error) => {
        assert.ok(error instanceof StoreAwayError);
        assert.match(error.message, new RegExp(`^store: drac ${HOST}: `));
        assert.match(error.message, problem);
        return true;
      });
      await store.close();
    });
  }

  it("is away where rpcbind knows of none, or of no port", async () => {
    for (const [port, problem] of [
      [0, /rpcbind lists no dracd there/],
      [70_000, /rpcbind: answers with an invalid port/],
    ] as const) {
      const store = open();
      asked = (call) => done(call, port);
      for (const address of ["192.0.2.1", "2001:db8::1"]) {
        await assert.rejects(store.authorize([login(address)], NOW), problem);
      }
      await store.close();
    }
  });
});

describe("a relay-ctrl-udp", () => {
  const stack = new AsyncDisposableStack();
  let answer: (datagram: Buffer) => Buffer | undefined;
  let remote: Awaited<ReturnType<typeof peer>>;
  before(async () => {
    remote = stack.use(await peer(0, (datagram) => answer(datagram)));
  });
  after(() => stack.disposeAsync());

  const open = ({ tries = 5, timeout = 1_000, port = remote.port } = {}) => {
    answer = () => Buffer.of(1);
    remote.received.length = 0;
    const config = { driver: "relay-ctrl-udp", host: HOST, port, tries, timeout } as const;
    return openOnly(config);
  };

  sentences(() => ({ store: open(), told: () => remote.received.map(String) }));

  it("is sent the bare address, and nothing of IPv6", async () => {
    const store = open();
    await store.authorize([login("192.0.2.1"), login("2001:db8::1")], NOW);
    assert.deepEqual(remote.received, [Buffer.from("192.0.2.1")]);
    await store.authorize([login("2001:db8::1")], NOW);
    assert.equal(remote.received.length, 1);
  });

  it("is sent it again until it answers", async () => {
    const store = open({ timeout: 10 });
    answer = () => (remote.received.length < 4 ? undefined : Buffer.of(1));
    await store.authorize([login("192.0.2.1")], NOW);
    assert.equal(remote.received.length, 4);
  });

  it("is away when it has not answered as often as it is to be tried", async () => {
    const store = open({ tries: 3, timeout: 10 });
    answer = () => undefined;
    await assert.rejects(store.authorize([login("192.0.2.1")], NOW), {
      name: "StoreAwayError",
      message: `store: ${store.name}: no answer to 3 datagrams, 0.01 s each`,
    });
    assert.equal(remote.received.length, 3);
  });

  it("is away where nobody listens, or the host has no address", async () => {
    const closed = await peer(0, () => undefined);
    await closed[Symbol.asyncDispose]();
    const store = open({ port: closed.port });
    await assert.rejects(store.authorize([login("192.0.2.1")], NOW), /: nothing listens there$/);
    const nowhere = openOnly({
      driver: "relay-ctrl-udp",
      host: "no.such.host.invalid",
      port: 811,
      tries: 1,
      timeout: 10,
    });
    await assert.rejects(nowhere.authorize([login("192.0.2.1")], NOW), StoreAwayError);
    await assert.rejects(nowhere.schemaVersion(), StoreAwayError);
  });
});

/** An accepted reply to a call: accept_stat, and what follows it. */
function accepted(call: Buffer, ...words: readonly number[]): Buffer {
  const reply = Buffer.alloc(20 + words.length * 4);
  call.copy(reply, 0, 0, 4);
  reply.writeUInt32BE(1, 4);
  for (const [index, word] of words.entries()) reply.writeUInt32BE(word, 20 + index * 4);
  return reply;
}

function done(call: Buffer, ...result: readonly number[]): Buffer {
  return accepted(call, 0, ...result);
}

function mismatch(call: Buffer): Buffer {
  return accepted(call, 2, 1, 1);
}

function denied(call: Buffer): Buffer {
  const reply = Buffer.alloc(20);
  call.copy(reply, 0, 0, 4);
  for (const [index, word] of [1, 1, 1, 5].entries()) reply.writeUInt32BE(word, 4 + index * 4);
  return reply;
}
