import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** The address that a client connects to, and its own. */
export interface Endpoint {
  /** 127.0.0.1 or ::1 */
  readonly host: string;
  readonly port: number;
  /** Any address of this machine: 127.0.0.0/8, or ::1. Default: the kernel's choice. */
  readonly localAddress?: string;
}

/**
 * A connection for a text protocol that remembers every byte it received. A silence of 30 s is an
 * error.
 */
export class Conversation implements Disposable {
  readonly #socket: Socket;
  /** Latin-1: a character for each byte. */
  #text = "";
  #read = 0;
  #wake: () => void = () => {};
  #end: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.setTimeout(30_000, () => socket.destroy(new Error("the server says nothing")));
    socket.on("data", (chunk) => {
      this.#text += String(chunk);
      this.#wake();
    });
    socket.on("error", (error) => (this.#end = error));
    socket.on("close", () => {
      this.#end ??= new Error("the server closed the connection");
      this.#wake();
    });
  }

  static async open(endpoint: Endpoint): Promise<Conversation> {
    const socket = connect({ ...endpoint });
    const conversation = new Conversation(socket);
    await once(socket, "connect");
    return conversation;
  }

  /** All bytes from the server so far. */
  get received(): Buffer {
    return Buffer.from(this.#text, "latin1");
  }

  /** Sends a line. */
  send(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  /** Waits for the pattern; returns the unread text up to its end, as Latin-1. */
  async expect(pattern: RegExp): Promise<string> {
    for (;;) {
      const unread = this.#text.slice(this.#read);
      const match = pattern.exec(unread);
      if (match !== null) {
        const end = match.index + match[0].length;
        this.#read += end;
        return unread.slice(0, end);
      }
      if (this.#end !== undefined) {
        throw new Error(`no ${String(pattern)} in ${JSON.stringify(unread)}`, {
          cause: this.#end,
        });
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Waits until the server has closed the connection. */
  async closed(): Promise<void> {
    if (!this.#socket.closed) await once(this.#socket, "close");
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
