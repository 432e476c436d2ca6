import type { Address } from "./address.ts";
import type { Clock, Time } from "../lib/clock.ts";

/** Somebody has just read mail. */
export interface Login {
  /** Where from. */
  readonly address: Address;
  /** Who, as the mail server names them; "" where nobody said. At most {@link USER_BYTES} bytes: see {@link cutUser}. */
  readonly user: string;
  /** How: "imap", "pop3", ...; "" where nobody said. */
  readonly service: string;
  /** When, with a fraction down to microseconds. */
  readonly time: Time;
}

/** Longer user names are cut at this many bytes of UTF-8: every store can index that much. */
export const USER_BYTES = 255;

/** `user`, cut to {@link USER_BYTES} bytes between two characters. */
export function cutUser(user: string): string {
  return user.slice(0, new TextEncoder().encodeInto(user, new Uint8Array(USER_BYTES)).read);
}

/**
 * A clock for logins: `now`, but no time twice, as far as a thousand in a millisecond. Files in the spool are called by a login's time,
 * and by it a store knows one that comes a second time.
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

/** How long a revocation is kept: no lifetime is longer, and a login that old authorizes nobody. Milliseconds. */
export const REVOCATION_KEPT_MS = 7 * 86_400_000;

/** What became of a login: it is in the store, or in the spool, from where a drain will carry it there. */
export type Outcome = "committed" | "spooled" | "excluded" | "lost";
