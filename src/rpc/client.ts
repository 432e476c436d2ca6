/** Calls an RPC server over UDP, and repeats calls without an answer, as RPC clients do. */
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { noAnswerWithin, withDeadline } from "../lib/deadline.ts";
import { reasonOf, codeOf } from "../lib/errors.ts";
import { decodeReply, encodeCall, MalformedMessage, type Call, type Reply } from "./message.ts";

/**
 * How long to wait before a call is repeated, in milliseconds. The time doubles after each
 * repetition.
 */
const AGAIN_MS = 250;

/** The address of a server. */
export interface RpcServer {
  /** IPv4. */
  readonly address: string;
  readonly port: number;
}

/**
 * The reason why a call was not answered, for people: "nothing listens there", "no answer within 3
 * s".
 */
export class RpcError extends Error {
  override name = "RpcError";
  /** accept_stat, if the server rejected the call. */
  readonly code: number | undefined;
  constructor(
    message: string,
    { code, ...options }: ErrorOptions & { code?: number | undefined } = {},
  ) {
    super(message, options);
    this.code = code;
  }
}

/** No answer arrived in time; another attempt would take as long. */
export class NoAnswerError extends RpcError {
  override name = "NoAnswerError";
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class RpcClient implements Disposable {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #xid = randomInt(0x1_0000_0000);

  /** @throws RpcError if the network cannot be used */
  static async open({ address, port }: RpcServer): Promise<RpcClient> {
    const socket = createSocket("udp4");
    // a connected socket receives no other host's datagrams, and reports a closed port
    socket.connect(port, address);
    try {
      await once(socket, "connect");
    } catch (cause) {
      socket.close();
      throw new RpcError(explain(cause), { cause });
    }
    return new RpcClient(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (bytes) => this.#receive(bytes));
    // ECONNREFUSED, which could belong to any of the calls
    socket.on("error", (cause) => this.#fail(new RpcError(explain(cause), { cause })));
  }

  /**
   * Calls a procedure and returns its result.
   *
   * @param deadline milliseconds
   * @throws RpcError
   */
  async call(call: Omit<Call, "xid">, deadline: number): Promise<Buffer> {
    const xid = (this.#xid = (this.#xid + 1) >>> 0);
    const message = encodeCall({ ...call, xid });
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiting.set(xid, { resolve, reject });
    let again: NodeJS.Timeout | undefined;
    const send = (pause: number) => {
      this.#socket.send(message, (cause) => {
        if (cause) reject(new RpcError(explain(cause), { cause }));
      });
      again = setTimeout(() => send(pause * 2), pause);
    };
    send(AGAIN_MS);
    try {
      const reply = await withDeadline(promise, deadline, () => {
        throw new NoAnswerError(noAnswerWithin(deadline));
      });
      return resultOf(reply);
    } finally {
      clearTimeout(again);
      this.#waiting.delete(xid);
    }
  }

  /** Fails the calls that are still unanswered. */
  [Symbol.dispose](): void {
    this.#fail(new RpcError("closed"));
    this.#socket.close();
  }

  #receive(bytes: Buffer): void {
    try {
      const reply = decodeReply(bytes);
      this.#waiting.get(reply.xid)?.resolve(reply);
    } catch (error) {
      // a malformed answer counts as none
      if (!(error instanceof MalformedMessage)) throw error;
    }
  }

  #fail(error: RpcError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}

/** Throws RpcError if a reply has no result. */
export function resultOf(reply: Reply): Buffer {
  if ("result" in reply) return reply.result;
  throw new RpcError(reply.trouble, { code: reply.code });
}

function explain(error: unknown): string {
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "nothing listens there";
  return reasonOf(error);
}
