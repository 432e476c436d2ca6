import { setTimeout as delay } from "node:timers/promises";
import type { Dovecot } from "./dovecot.ts";

/** Users who log in continuously, each once. */
export interface Logins extends AsyncDisposable {
  /** The users who were let in so far, with their addresses. */
  readonly made: readonly { readonly user: string; readonly from: string }[];
  /** The errors of the others. */
  readonly refused: readonly string[];
  /** The duration of each login from the password to the answer, in milliseconds. */
  readonly ms: readonly number[];
  /** Stops further logins; resolves when the last user has logged out. */
  stop(): Promise<void>;
}

/**
 * Logs in at Dovecot with this many clients, over IMAP and POP3 in turn, and out again, repeatedly.
 */
export function startLogins(dovecot: Dovecot, clients: number): Logins {
  const made: { user: string; from: string }[] = [];
  const refused: string[] = [];
  const ms: number[] = [];
  const end = new AbortController();
  let next = 0;
  const logIn = async (from: string) => {
    const number = next++;
    const user = `user${number}`;
    try {
      using client = await dovecot[number % 2 === 0 ? "imap" : "pop3"]({ from });
      ms.push(await client.login(user, dovecot.password));
      made.push({ user, from });
      await client.logout();
    } catch (error) {
      refused.push(`${user}: ${String(error)}`);
      // to avoid a storm of failures
      await delay(10);
    }
  };
  const all = Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (!end.signal.aborted) await logIn(`127.0.2.${client + 1}`);
    }),
  );
  const stop = async () => {
    end.abort();
    await all;
  };
  return { made, refused, ms, stop, [Symbol.asyncDispose]: stop };
}
