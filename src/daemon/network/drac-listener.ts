/** The endpoint of DRAC clients: UDP and TCP, at a port that rpcbind tells them. */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { parseAddress } from "../../login/address.ts";
import { endpointName, type PortEndpoint } from "../../config/config.ts";
import { withDeadline } from "../../lib/deadline.ts";
import { MalformedRequest, serveRequests } from "../../lookups/requests.ts";
import { MalformedMessage } from "../../rpc/message.ts";
import { encodeRecord, RecordReader } from "../../rpc/record.ts";
import { Datagrams } from "../sockets/datagrams.ts";
import { descriptorShare } from "../sockets/descriptors.ts";
import { listenAt } from "../sockets/endpoint.ts";
import type { Log } from "../log/log.ts";
import type { NetworkSource, SourceHooks } from "./network-sources.ts";
import { Registration } from "./registration.ts";

/**
 * The most connections of hosts that may not report logins. Beyond this limit, or that of all
 * connections, a client is disconnected, and may call over UDP.
 */
const DENIED = 16;

/** How long a connection may be idle, in milliseconds: a busy client calls more often. */
const IDLE_MS = { allowed: 600_000, denied: 5_000 };

/** The longest call, in bytes: one with the longest credentials is shorter. */
const CALL_BYTES = 1_024;

export class DracListener implements NetworkSource {
  readonly where: string;
  readonly #datagrams: Datagrams;
  readonly #server: Server;
  readonly #stop: () => void;
  readonly #log: Log;
  readonly #connections = new Set<Socket>();
  readonly #inHand = new Set<Promise<unknown>>();
  #denied = 0;
  #registration: Registration | undefined;

  /** Listens; callers wait until {@link start}. Throws PopbsmtpError (73, 77) if it cannot. */
  static async open(
    endpoint: PortEndpoint,
    patience: number,
    onDropped: (why: string) => void,
    log: Log,
  ): Promise<DracListener> {
    const datagrams = await Datagrams.bind(endpoint, patience, onDropped);
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    server.maxConnections = descriptorShare().drac;
    try {
      const stop = await listenAt(endpoint, server, { patience, mode: 0, owner: undefined });
      return new DracListener(datagrams, server, stop, log);
    } catch (error) {
      await datagrams.close(0);
      throw error;
    }
  }

  private constructor(datagrams: Datagrams, server: Server, stop: () => void, log: Log) {
    this.where = endpointName(datagrams.place);
    this.#datagrams = datagrams;
    this.#server = server;
    this.#stop = stop;
    this.#log = log;
    server.on("error", ({ message }) =>
      log.error("accept-failed", { role: "drac", where: this.where, message }),
    );
    server.on("connection", (socket) => {
      this.#connections.add(socket);
      socket.once("close", () => this.#connections.delete(socket));
      // a waiting connection has no other listener for errors
      socket.on("error", () => socket.destroy());
    });
  }

  start(hooks: SourceHooks): void {
    this.#datagrams.start(hooks.answer);
    const early = [...this.#connections];
    this.#server.on("connection", (socket) => this.#converse(socket, hooks));
    for (const socket of early) this.#converse(socket, hooks);
    const tcp = portOf(this.#server);
    this.#registration = new Registration({ udp: this.#datagrams.place.port, tcp }, this.#log);
  }

  async close(patience: number): Promise<void> {
    const end = performance.now() + patience;
    const inTime = (work: Promise<unknown>) =>
      withDeadline(work, end - performance.now(), () => undefined);
    // first, because another process can bind the port only once the socket is closed
    await inTime(Promise.resolve(this.#registration?.end()));
    this.#stop();
    await Promise.all([
      this.#datagrams.close(end - performance.now()),
      inTime(Promise.all(this.#inHand)),
    ]);
    // the kernel has the last answer by now; a client that does not read it is not waited for
    await turn();
    for (const socket of this.#connections) socket.destroy();
  }

  #converse(socket: Socket, { answer, isAllowed, onMalformed }: SourceHooks): void {
    const caller = parseAddress(socket.remoteAddress ?? "");
    // the client has disconnected already
    if (caller === undefined) {
      socket.destroy();
      return;
    }
    const allowed = isAllowed(caller);
    if (!allowed) {
      if (this.#denied >= DENIED) {
        socket.destroy();
        return;
      }
      this.#denied++;
      socket.once("close", () => this.#denied--);
    }
    socket.setTimeout(allowed ? IDLE_MS.allowed : IDLE_MS.denied, () => socket.destroy());
    const reader = new RecordReader(CALL_BYTES);
    serveRequests(
      socket,
      {
        requests: (chunk) => calls(reader, chunk),
        answer: async (call: Buffer) => {
          const answering = answer(call, caller);
          this.#inHand.add(answering);
          const reply = await answering.finally(() => this.#inHand.delete(answering));
          // a client that violates the protocol is disconnected
          if (reply === undefined) socket.destroy();
          return reply === undefined ? "" : encodeRecord(reply).toString("latin1");
        },
      },
      { onMalformed },
    );
  }
}

function* calls(reader: RecordReader, chunk: Buffer): Generator<Buffer> {
  try {
    yield* reader.read(chunk);
  } catch (error) {
    throw error instanceof MalformedMessage ? new MalformedRequest(error.message) : error;
  }
}

/** The port at which a server listens. */
function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("a port was listened at");
  return address.port;
}
