/**
 * A connection on which a mail server asks one thing after the other.
 *
 * Requests may come pipelined and in any pieces. They are answered one at a time and in order: the next one is not looked at, and in
 * the end nothing more is read, before the last answer has gone out. So whoever asks without reading the answers fills his own
 * buffers, not ours, and a connection that is idle costs a socket and a few objects.
 */
import type { Socket } from "node:net";
import type { LookupHooks } from "./lookup.ts";

/** What a reader keeps of a request where there is nothing to keep. */
export const NOTHING: Buffer = Buffer.alloc(0);

/** What came in is no request: `message` says why. What follows it on the connection cannot be understood either. */
export class MalformedRequest extends Error {
  override name = "MalformedRequest";
}

export interface Protocol<Request> {
  /** The requests that are complete with `chunk`. Keeps what is not. @throws MalformedRequest */
  readonly requests: (chunk: Buffer) => Iterator<Request>;
  /** The bytes to answer with; at once where nobody has to be asked. Never rejects. */
  readonly answer: (request: Request) => string | Promise<string>;
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
  const conversation = new Conversation(socket, protocol, onMalformed);
  socket.on("data", (chunk: Buffer) => conversation.receive(chunk));
  socket.on("end", () => conversation.end());
}

/** With events, not an async iterator: at 20,000 answers a second, promises were a third of what they cost. */
class Conversation<Request> {
  readonly #socket: Socket;
  readonly #protocol: Protocol<Request>;
  readonly #onMalformed: (why: string) => void;
  /** What has come in and is still to be answered; undefined: nothing. */
  #requests: Iterator<Request> | undefined;
  /** The client says nothing more. */
  #hasEnded = false;
  /** The kernel has not taken the last answer yet. */
  #isFull = false;

  constructor(socket: Socket, protocol: Protocol<Request>, onMalformed: (why: string) => void) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#onMalformed = onMalformed;
  }

  receive(chunk: Buffer): void {
    this.#requests = this.#protocol.requests(chunk);
    if (!this.#answerAll(this.#requests)) this.#socket.pause();
  }

  /** The client's end may come, paused or not, before all that it asked is answered. */
  end(): void {
    this.#hasEnded = true;
    if (this.#requests === undefined) this.#socket.end();
  }

  /** False where there is something to wait for, which then calls {@link #goOn}. */
  #answerAll(requests: Iterator<Request>): boolean {
    try {
      for (;;) {
        const next = requests.next();
        if (next.done === true) {
          this.#requests = undefined;
          return true;
        }
        const answer = this.#protocol.answer(next.value);
        if (typeof answer !== "string") {
          answer
            .then((later) => {
              if (this.#say(later)) this.#goOn();
            })
            .catch((error: unknown) => this.#close(error));
          return false;
        }
        if (!this.#say(answer)) return false;
      }
    } catch (error) {
      this.#close(error);
      return false;
    }
  }

  #goOn(): void {
    if (this.#socket.destroyed || this.#requests === undefined) return;
    if (!this.#answerAll(this.#requests)) return;
    if (this.#hasEnded) this.#socket.end();
    else this.#socket.resume();
  }

  /** Whether the kernel has taken it. */
  #say(answer: string): boolean {
    this.#socket.write(answer, "latin1", this.#taken);
    this.#isFull = this.#socket.writableLength > 0;
    return !this.#isFull;
  }

  /** Called after each answer, also after those that were taken at once. */
  readonly #taken = (): void => {
    if (!this.#isFull || this.#socket.writableLength > 0) return;
    this.#isFull = false;
    this.#goOn();
  };

  #close(error: unknown): void {
    if (!(error instanceof MalformedRequest)) {
      this.#socket.destroy();
      return;
    }
    this.#onMalformed(error.message);
    this.#socket.end(this.#protocol.lastWords?.(error) ?? "");
    this.#socket.destroySoon();
  }
}
