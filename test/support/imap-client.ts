import { Conversation, type Endpoint } from "./conversation.ts";

/** Just enough of IMAP (RFC 3501) to log in and look around. */
export class ImapClient implements Disposable {
  readonly #conversation: Conversation;
  #tag = 0;

  private constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /** Connects and waits for the greeting. */
  static async connect(endpoint: Endpoint): Promise<ImapClient> {
    const conversation = await Conversation.open(endpoint);
    await conversation.expect(/^\* OK .*\r\n/);
    return new ImapClient(conversation);
  }

  /** All bytes from the server so far. */
  get received(): Buffer {
    return this.#conversation.received;
  }

  /**
   * Logs in and returns the duration in milliseconds. Throws if the login is rejected.
   *
   * SASL PLAIN with an initial response (RFC 4959) takes any name without a NUL.
   */
  async login(user: string, password: string): Promise<number> {
    const start = performance.now();
    await this.command(`AUTHENTICATE PLAIN ${plain(user, password)}`);
    return performance.now() - start;
  }

  /** Sends a command and returns the whole answer, as Latin-1. Throws if it is not OK. */
  async command(text: string): Promise<string> {
    const tag = `a${String(++this.#tag)}`;
    this.#conversation.send(`${tag} ${text}`);
    const answer = await this.#conversation.expect(new RegExp(`^${tag} .*\\r\\n`, "m"));
    if (!answer.includes(`${tag} OK `)) throw new Error(`${text}: ${answer}`);
    return answer;
  }

  /** Logs out and waits until the server has closed the connection. */
  async logout(): Promise<void> {
    await this.command("LOGOUT");
    await this.#conversation.closed();
  }

  [Symbol.dispose](): void {
    this.#conversation[Symbol.dispose]();
  }
}

/** RFC 4616 in base64. */
export function plain(user: string, password: string): string {
  return Buffer.from(`\0${user}\0${password}`).toString("base64");
}
