import type { Address } from "./address.ts";
import type { Clock, Time } from "../lib/clock.ts";

/** A login at the mail server, to read mail. */
export interface Login {
  /** The client's address. */
  readonly address: Address;
  /**
   * The user, as the mail server names them; "" if unknown. At most {@link USER_BYTES} bytes: see
   * {@link cutUser}.
   */
  readonly user: string;
  /** The protocol: "imap", "pop3", ...; "" if unknown. */
  readonly service: string;
  /** The time, with a fraction down to microseconds. */
  readonly time: Time;
}

/** User names are cut at this many bytes of UTF-8, which every store can index. */
export const USER_BYTES = 255;

/** `user`, cut to {@link USER_BYTES} bytes at the end of a character. */
export function cutUser(user: string): string {
  return user.slice(0, new TextEncoder().encodeInto(user, new Uint8Array(USER_BYTES)).read);
}

/**
 * A clock for logins: `now`, with up to a thousand different times in a millisecond. The time of a
 * login names its file in the spool, and tells a store whether it has the login already.
 */
export function loginClock(now: Clock): Clock {
  let last = NaN;
  let more = 0;
  return () => {
    const time = now();
    more = time === last ? more + 1 : 0;
    last = time;
    return time + more / 1_000;
  };
}

/**
 * How long a revocation is kept, in milliseconds: the longest lifetime, after which a login
 * authorizes nothing.
 */
export const REVOCATION_KEPT_MS = 7 * 86_400_000;

/**
 * The outcome of a login: "committed" to the store; "spooled", for a drain to write it there;
 * "excluded" or "not-allowed" by the configuration; or "lost".
 */
export type Outcome = "committed" | "spooled" | "excluded" | "not-allowed" | "lost";
