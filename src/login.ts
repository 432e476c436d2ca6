import type { Address } from "./address.ts";

/** Somebody has just read mail. */
export interface Login {
  /** Where from. */
  readonly address: Address;
  /** Who, as the mail server names them; "" where nobody said. At most {@link USER_BYTES} bytes: see {@link cutUser}. */
  readonly user: string;
  /** How: "imap", "pop3", ...; "" where nobody said. */
  readonly service: string;
  /** When, by this host's clock: milliseconds since 1970, with a fraction down to microseconds. */
  readonly time: number;
}

/** Longer user names are cut at this many bytes of UTF-8: every store can index that much. */
export const USER_BYTES = 255;

/** `user`, cut to {@link USER_BYTES} bytes between two characters. */
export function cutUser(user: string): string {
  return user.slice(0, new TextEncoder().encodeInto(user, new Uint8Array(USER_BYTES)).read);
}
