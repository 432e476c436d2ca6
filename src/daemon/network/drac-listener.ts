/** Where DRAC's clients call: over UDP, over TCP, and as rpcbind tells them. */
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

/** So many connections at a time of callers who may not call. At this limit, and that of all, who comes is turned away, and may call over UDP. */
const DENIED = 16;

/** How long a connection may be idle: longer than a busy server is. Milliseconds. */
const IDLE_MS = { allowed: 600_000, denied: 5_000 };

/** A call with the longest credentials there may be is shorter. Bytes. */
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

  /** Listens; whoever calls waits until {@link start}. Throws PopbsmtpError (73, 77) where it cannot. */
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
      // nobody listens for it while it waits
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
    // first: until the socket is closed nobody else gets the port
    await inTime(Promise.resolve(this.#registration?.end()));
    this.#stop();
    await Promise.all([
      this.#datagrams.close(end - performance.now()),
      inTime(Promise.all(this.#inHand)),
    ]);
    // the last answer is with the kernel by now; who does not read it is not waited for
    await turn();
    for (const socket of this.#connections) socket.destroy();
  }

  #converse(socket: Socket, { answer, isAllowed, onMalformed }: SourceHooks): void {
    const caller = parseAddress(socket.remoteAddress ?? "");
    // it has hung up already
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
          // who sends what is no call is hung up on
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

/** The port of a server that listens at one. */
function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("a port was listened at");
  return address.port;
}
