import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isLogin, type Role } from "./listeners.ts";

/** The connections that are open, to be ended in the end. */
export class Connections {
  readonly #logins = new Set<Socket>();
  readonly #others = new Set<Socket>();

  add(socket: Socket, role: Role): void {
    const open = isLogin(role) ? this.#logins : this.#others;
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  }

  /** Logins get their answers, within so many milliseconds; whoever only asks, asks the next daemon. */
  async end(patience: number): Promise<void> {
    for (const socket of this.#others) socket.destroy();
    const answered = [...this.#logins].map(
      (socket) => new Promise((resolve) => socket.once("close", resolve)),
    );
    await Promise.race([Promise.all(answered), sleep(patience, undefined, { ref: false })]);
    for (const socket of this.#logins) socket.destroy();
  }
}
