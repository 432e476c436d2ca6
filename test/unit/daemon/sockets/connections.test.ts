import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Connections, type ConnectionLimits } from "../../../../src/daemon/sockets/connections.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

/** A server that answers whatever comes in, and keeps its connections within limits. */
async function serving(limits: ConnectionLimits = {}) {
  const directory = temporaryDirectory();
  const path = join(directory.path, "socket");
  const connections = new Connections(limits);
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on("data", (chunk) => socket.write(chunk));
    connections.follow(socket);
  }).listen(path);
  await once(server, "listening");
  return {
    connections,
    open: async (): Promise<Socket> => {
      const socket = connect(path);
      await say(socket);
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      await connections.end(0);
      server.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Asks something, and waits for the answer. */
async function say(socket: Socket): Promise<void> {
  socket.write("x");
  await once(socket, "data");
}

describe("connections", () => {
  it("at the limit, the one that has been idle longest is closed, not the new one, nor one in use", async () => {
    await using server = await serving({ most: 3 });
    const [first, second, third] = [await server.open(), await server.open(), await server.open()];
    await say(first);
    const closed = once(second, "close");
    const fourth = await server.open();
    await closed;
    for (const socket of [first, third, fourth]) await say(socket);
    assert.equal(server.connections.size, 3);
    await say(third);
    const alsoClosed = once(first, "close");
    await server.open();
    await alsoClosed;
  });

  it("that are idle too long are closed", async () => {
    await using server = await serving({ idle: 20 });
    const socket = await server.open();
    await once(socket, "close");
    await waitUntil("it to be forgotten", () => server.connections.size === 0);
  });

  it("that their clients close make room", async () => {
    await using server = await serving({ most: 2 });
    const [first, second] = [await server.open(), await server.open()];
    second.end();
    await waitUntil("room", () => server.connections.size === 1);
    await server.open();
    await say(first);
  });

  it("are awaited at the end, and closed when the time is up", async () => {
    await using server = await serving();
    const [polite, stuck] = [await server.open(), await server.open()];
    const closed = once(stuck, "close");
    const ended = server.connections.end(50);
    polite.end();
    await ended;
    await closed;
    await waitUntil("none to be left", () => server.connections.size === 0);
  });
});
