import type { Socket } from "node:net";
import { withDeadline } from "../../lib/deadline.ts";

export interface ConnectionLimits {
  /**
   * The most open connections. One more closes the one that has been idle longest. Default: no
   * limit.
   */
  readonly most?: number;
  /** How long a connection may be idle, in milliseconds. Default: no limit. */
  readonly idle?: number;
}

/**
 * The open connections of one kind.
 *
 * A client that opens too many closes its own first: a connection in use, or a new one, is never
 * the one that has been idle longest. So there is no need for a limit per client, which Node could
 * not enforce anyway: it does not tell the user at the other end of a Unix socket.
 */
export class Connections {
  readonly #most: number;
  readonly #idle: number;
  /** Longest idle first. */
  readonly #open = new Set<Socket>();

  constructor({ most = Infinity, idle = 0 }: ConnectionLimits = {}) {
    this.#most = most;
    this.#idle = idle;
  }

  get size(): number {
    return this.#open.size;
  }

  add(socket: Socket): void {
    const [idlest] = this.#open;
    if (this.#open.size >= this.#most && idlest !== undefined) {
      this.#open.delete(idlest);
      idlest.destroy();
    }
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    socket.setTimeout(this.#idle, () => socket.destroy());
  }

  /**
   * Counts a connection as in use whenever data arrives. To be called by the code that starts
   * reading it.
   */
  follow(socket: Socket): void {
    socket.on("data", () => {
      if (this.#open.delete(socket)) this.#open.add(socket);
    });
  }

  /**
   * Waits up to `patience` milliseconds for the clients to close their connections, and closes the
   * others.
   */
  async end(patience: number): Promise<void> {
    const closed = Array.from(this.#open, (socket) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.once("close", () => resolve());
      return promise;
    });
    if (patience > 0) await withDeadline(Promise.all(closed), patience, () => undefined);
    for (const socket of this.#open) socket.destroy();
  }
}
