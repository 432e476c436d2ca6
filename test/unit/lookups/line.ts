import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Address } from "../../../src/login/address.ts";
import type { Answer, Answered, Lookup, LookupHooks } from "../../../src/lookups/lookup.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

/** What the daemon's side did. */
export interface Line extends AsyncDisposable {
  /** The addresses looked up, in order. */
  readonly asked: readonly Address[];
  /** What was counted: "authorized from memory". */
  readonly answers: readonly string[];
  /** Why connections were closed. */
  readonly malformed: readonly string[];
  /** The daemon's ends of the connections, in the order they came in. */
  readonly sockets: readonly Socket[];
  /** A client's end. */
  open(): Promise<Socket>;
  /** Sends the pieces, shuts its side down, and returns all that is answered, as Latin-1. */
  exchange(...pieces: readonly (string | Buffer)[]): Promise<string>;
}

/**
 * A Unix socket on which `serve` answers out of `table`; an address that is not in it is unknown.
 */
export async function openLine(
  serve: (socket: Socket, lookup: Lookup, hooks: LookupHooks) => void,
  table: Readonly<Record<string, Answer>>,
): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory());
  const asked: Address[] = [];
  const answers: string[] = [];
  const malformed: string[] = [];
  const sockets: Socket[] = [];
  const lookup: Lookup = {
    lookup: (address) => {
      asked.push(address);
      const answered: Answered = { answer: table[address] ?? "unknown", from: "memory" };
      // what is known, at once; else later, as a store does
      return asked.length % 2 === 0
        ? answered
        : new Promise((resolve) => setImmediate(() => resolve(answered)));
    },
  };
  const server = createServer((socket) => {
    sockets.push(socket);
    serve(socket, lookup, {
      onAnswer: (_address, { answer, from }) => answers.push(`${answer} from ${from}`),
      onMalformed: (why) => malformed.push(why),
    });
  });
  server.listen(join(path, "line"));
  await once(server, "listening");
  stack.defer(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, "close");
  });
  const open = async () => {
    const socket = connect(join(path, "line"));
    await once(socket, "connect");
    return socket;
  };
  const resources = stack.move();
  return {
    asked,
    answers,
    malformed,
    sockets,
    open,
    exchange: async (...pieces) => {
      const socket = await open();
      const received = receive(socket);
      for (const piece of pieces) {
        // a piece is what the other side gets in one read
        await new Promise((resolve) => socket.write(piece, "latin1", resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.end();
      return received;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** All that comes until the connection ends, however it ends. */
export async function receive(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => (text += String(chunk)));
  // the daemon may close while something is still on its way to it
  socket.on("error", () => undefined);
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

/** Waits until so many bytes are there, and returns them as Latin-1. */
export async function receiveLength(socket: Socket, length: number): Promise<string> {
  let text = "";
  socket.setEncoding("latin1");
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.length >= length) break;
  }
  return text;
}
