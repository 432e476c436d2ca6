import type { Socket } from "node:net";
import { withDeadline } from "../../lib/deadline.ts";

export interface ConnectionLimits {
  /** Open at a time. For one more, the one that has been idle longest is closed. Default: no limit. */
  readonly most?: number;
  /** How long nothing may come in or go out. Milliseconds. Default: any time. */
  readonly idle?: number;
}

/**
 * The open connections of one kind.
 *
 * Who opens too many closes their own first: a connection that is in use, or new, is never the one that has been idle longest. So no
 * limit for each peer is needed, which could not be told apart anyway: Node does not say whose a Unix socket's other end is.
 */
export class Connections {
  readonly #most: number;
  readonly #idle: number;
  /** Idle longest first. */
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

  /** From now on it is in use whenever something comes in. To be called by whoever begins to read it. */
  follow(socket: Socket): void {
    socket.on("data", () => {
      if (this.#open.delete(socket)) this.#open.add(socket);
    });
  }

  /** Waits until the clients have closed theirs, up to so many milliseconds, and closes the others. */
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
