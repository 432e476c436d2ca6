import assert from "node:assert/strict";
import { createConnection } from "node:net";
import type { Row } from "./tables.ts";
import { postLoginRequest } from "./serve.ts";

/** How long to wait for an answer, in milliseconds; Dovecot would wait for 60 s. */
const PATIENCE_MS = 15_000;

/** A login that the daemon has answered. Milliseconds since 1970. */
export interface Made {
  readonly address: string;
  readonly user: string;
  /** The time of the request. */
  readonly from: number;
  /** The time of the answer. */
  readonly to: number;
}

export interface LoadOptions {
  /**
   * The time from one login to the next, however long the first takes, in milliseconds; default 5.
   */
  readonly every?: number;
  /** The prefix of the users' names: different loads need different ones. Default "user". */
  readonly name?: string;
  /** Which address the login of this number comes from. Default: one of 192.0.2.0/24, in turns. */
  readonly address?: (number: number) => string;
}

/** Continuous logins, each of another user. */
export interface Load extends AsyncDisposable {
  /** The logins that were answered correctly so far. */
  readonly made: readonly Made[];
  /** The errors of the others. */
  readonly failed: readonly string[];
  /** Stops further logins; resolves when the last has been answered. */
  stop(): Promise<void>;
}

/** Logs in through the daemon's socket, in place of Dovecot's imap processes. */
export function startLoad(
  path: string,
  { every = 5, name = "user", address = (number) => `192.0.2.${number % 256}` }: LoadOptions = {},
): Load {
  const made: Made[] = [];
  const failed: string[] = [];
  const open = new Set<Promise<void>>();
  let count = 0;
  const attempt = async (from: string, user: string) => {
    try {
      made.push(await logIn(path, from, user));
    } catch (error) {
      failed.push(String(error));
    }
  };
  const timer = setInterval(() => {
    const number = count++;
    const login = attempt(address(number), `${name}${number}`);
    open.add(login);
    void login.finally(() => open.delete(login));
  }, every);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(open);
  };
  return { made, failed, stop, [Symbol.asyncDispose]: stop };
}

/** One login. Rejects if Dovecot would reject it, or would have to wait for long. */
export async function logIn(path: string, address: string, user: string): Promise<Made> {
  const from = Date.now();
  const socket = createConnection(path);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`${user}: no answer`)));
  socket.write(postLoginRequest(address, user));
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  if (answer !== `${user}\n`) throw new Error(`${user}: answered ${JSON.stringify(answer)}`);
  return { address, user, from, to: Date.now() };
}

/** Asserts that every login is in the store, with its own time and not that of writing it. */
export function assertRecorded(made: readonly Made[], rows: readonly Row[]): void {
  const byUser = new Map(rows.map((row) => [row.user, row]));
  for (const { user, address, from, to } of made) {
    const row = byUser.get(user);
    assert.ok(row !== undefined, `${user} is not in the store`);
    assert.equal(row.address, address, user);
    for (const seen of [row.firstSeen, row.lastSeen]) {
      const time = Date.parse(seen);
      assert.ok(time >= from && time <= to + 1, `${user} logged in at ${seen}: ${from} to ${to}`);
    }
  }
}

/** The duration of the slowest login, for a diagnostic. */
export function slowest(made: readonly Made[]): string {
  const most = made.reduce((longest, { from, to }) => Math.max(longest, to - from), 0);
  return `${made.length} logins, the slowest ${most} ms`;
}
