import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathHolders, portHolders, processesWith } from "../../../../src/daemon/sockets/taken.ts";
import { freePort } from "../../../support/free-port.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

async function listening(where: { host: string; port: number } | { path: string }) {
  const server: Server = createServer().listen(where);
  await once(server, "listening");
  return { [Symbol.dispose]: () => void server.close() };
}

describe("a listening socket", () => {
  for (const [theirs, ours, isTaken] of [
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["127.0.0.1", "0.0.0.0", true],
    ["0.0.0.0", "127.0.0.9", true],
    ["::1", "::1", true],
    ["::1", "127.0.0.1", false],
    ["::", "127.0.0.1", true],
    ["127.0.0.1", "::", true],
  ] as const) {
    it(`at ${theirs} ${isTaken ? "occupies" : "does not occupy"} ${ours}`, async () => {
      const port = await freePort();
      using _ = await listening({ host: theirs, port });
      const inodes = portHolders({ host: ours, port }, "tcp");
      assert.equal(inodes.length, isTaken ? 1 : 0);
      for (const inode of inodes) assert.deepEqual(processesWith(inode), [process.pid]);
      assert.deepEqual(portHolders({ host: ours, port }, "udp"), []);
    });
  }

  it("for datagrams occupies its port", async () => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    assert.equal(portHolders({ host: "127.0.0.1", port }, "udp").length, 1);
    assert.deepEqual(portHolders({ host: "127.0.0.1", port }, "tcp"), []);
    socket.close();
  });

  it("occupies its path, whatever characters that contains", async () => {
    await using directory = temporaryDirectory();
    const path = join(directory.path, "a socket");
    assert.deepEqual(pathHolders(path), []);
    using _ = await listening({ path });
    const [inode = "", ...others] = pathHolders(path);
    assert.deepEqual(others, []);
    assert.deepEqual(processesWith(inode), [process.pid]);
    assert.deepEqual(pathHolders(join(directory.path, "a")), []);
  });
});
