/**
 * A connection on which a mail server asks one thing after the other.
 *
 * Requests may come pipelined and in any pieces. They are answered one at a time and in order: the next one is not looked at, and in
 * the end nothing more is read, before the last answer has gone out. So whoever asks without reading the answers fills his own
 * buffers, not ours, and a connection that is idle costs a socket and a few objects.
 */
import type { Socket } from "node:net";
import type { LookupHooks } from "./lookup.ts";

/** What came in is no request: `message` says why. What follows it on the connection cannot be understood either. */
export class MalformedRequest extends Error {
  override name = "MalformedRequest";
}

export interface Protocol<Request> {
  /** The requests that are complete with `chunk`. Keeps what is not. @throws MalformedRequest */
  readonly requests: (chunk: Buffer) => Iterable<Request>;
  /** The bytes to answer with. Never rejects. */
  readonly answer: (request: Request) => Promise<string>;
  /** What is said before the connection is closed on a malformed request. Default: nothing. */
  readonly lastWords?: (problem: MalformedRequest) => string;
}

/** Answers one connection until the client closes it. To end it earlier, destroy the socket. */
export function serveRequests<Request>(
  socket: Socket,
  protocol: Protocol<Request>,
  { onMalformed }: Pick<LookupHooks, "onMalformed">,
): void {
  // Exim shuts its side down after the request, and waits for the answer
  socket.allowHalfOpen = true;
  // a client that is gone is no event
  socket.on("error", () => socket.destroy());
  void converse(socket, protocol).catch((error: unknown) => {
    if (!(error instanceof MalformedRequest)) {
      socket.destroy();
      return;
    }
    onMalformed(error.message);
    socket.end(protocol.lastWords?.(error) ?? "");
    socket.destroySoon();
  });
}

async function converse<Request>(
  socket: Socket,
  { requests, answer }: Protocol<Request>,
): Promise<void> {
  const chunks: AsyncIterable<Buffer> = socket.iterator({ destroyOnReturn: false });
  for await (const chunk of chunks) {
    for (const request of requests(chunk)) await write(socket, await answer(request));
  }
  socket.end();
}

/** Resolves when the bytes have been handed to the kernel, or never will be. */
function write(socket: Socket, bytes: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.write(bytes, "latin1", () => resolve());
  return promise;
}
