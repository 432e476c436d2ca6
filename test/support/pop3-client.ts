import { Conversation, type Endpoint } from "./conversation.ts";
import { plain } from "./imap-client.ts";

/** Just enough of POP3 (RFC 1939) to log in and look around. */
export class Pop3Client implements Disposable {
  readonly #conversation: Conversation;

  private constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /** Connects and waits for the greeting. */
  static async connect(endpoint: Endpoint): Promise<Pop3Client> {
    const conversation = await Conversation.open(endpoint);
    await conversation.expect(/^\+OK.*\r\n/);
    return new Pop3Client(conversation);
  }

  /** All bytes from the server so far. */
  get received(): Buffer {
    return this.#conversation.received;
  }

  /**
   * Logs in with any name without a NUL, and returns the duration in milliseconds. Throws if the
   * login is rejected.
   */
  async login(user: string, password: string): Promise<number> {
    const start = performance.now();
    await this.command(`AUTH PLAIN ${plain(user, password)}`);
    return performance.now() - start;
  }

  /** Sends a command and returns the answer's one line, as Latin-1. Throws if it is not +OK. */
  async command(text: string): Promise<string> {
    this.#conversation.send(text);
    const answer = await this.#conversation.expect(/^.*\r\n/);
    if (!answer.startsWith("+OK")) throw new Error(`${text}: ${answer}`);
    return answer;
  }

  /** Logs out and waits until the server has closed the connection. */
  async logout(): Promise<void> {
    await this.command("QUIT");
    await this.#conversation.closed();
  }

  [Symbol.dispose](): void {
    this.#conversation[Symbol.dispose]();
  }
}
