import { setTimeout as delay } from "node:timers/promises";
import type { Dovecot } from "./dovecot.ts";

/** Users who log in all the time, each once. */
export interface Logins extends AsyncDisposable {
  /** Who was let in, and where from, so far. */
  readonly made: readonly { readonly user: string; readonly from: string }[];
  /** What became of the others. */
  readonly refused: readonly string[];
  /** Milliseconds that each took from the password to the answer. */
  readonly ms: readonly number[];
  /** Nobody logs in any more; resolves when the last has logged out. */
  stop(): Promise<void>;
}

/** So many clients log in at Dovecot, over IMAP and POP3 in turn, and out again, over and over. */
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
      // not a storm of failures
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
