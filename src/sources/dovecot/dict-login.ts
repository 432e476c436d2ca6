/**
 * Parses the key that Dovecot's last_login plugin sets at a login:
 * `shared/popbsmtp/SERVICE/ADDRESS/USER`.
 */
import { lastLoginKey } from "../../dovecot/release.ts";
import type { Time } from "../../lib/clock.ts";
import { parseAddress } from "../../login/address.ts";
import { cutUser, type Login } from "../../login/login.ts";
import { decodeText } from "../../spool/entry.ts";
import type { DictSet } from "./dict-reader.ts";

/** Dovecot's other services, and doveadm, do not read mail from an address. */
const SERVICES = ["imap", "pop3"];

/** The tolerance for a time ahead of this host's clock, which is Dovecot's too, in milliseconds. */
const AHEAD_MS = 1_000;

/** The digits of a time between 2001 and 2286, by `last_login_precision`: s, ms, us, ns. */
const DIGITS = [10, 13, 16, 19];

/** The digits that a login keeps: microseconds. */
const LOGIN_DIGITS = 16;

/**
 * The login; undefined if it is not to be recorded: it is another service's, or has no address
 * because the client runs on this host.
 *
 * @param major the protocol's version, which tells whose settings to name
 * @throws Error with the fault in Dovecot's configuration
 */
export function dictLogin(
  { key, value }: DictSet,
  { major, now }: { readonly major: number | undefined; readonly now: Time },
): Login | undefined {
  const [, service, address, user] =
    /^shared\/popbsmtp\/([^/]*)\/([^/]*)\/(.+)$/s.exec(key.toString("latin1")) ?? [];
  if (service === undefined || address === undefined || user === undefined) {
    throw new Error(`last_login_key: expected ${keyFor(major)}`);
  }
  if (!SERVICES.includes(service) || address === "") return undefined;
  const parsed = parseAddress(address);
  if (parsed === undefined) {
    throw new Error(
      `last_login_key: ${JSON.stringify(address)} is not an address; expected ${keyFor(major)}`,
    );
  }
  const time = timeOf(value.toString("latin1"));
  return {
    address: parsed,
    service,
    user: cutUser(decodeText(Buffer.from(user, "latin1"))),
    // a time in the future would extend the lifetime
    time: time > now + AHEAD_MS ? now : time,
  };
}

/** The right last_login_key. */
function keyFor(major: number | undefined): string {
  return lastLoginKey(major === 4 ? "2.4" : "2.3");
}

/** Milliseconds since 1970. */
function timeOf(text: string): number {
  if (!/^[1-9]\d*$/.test(text) || !DIGITS.includes(text.length)) {
    throw new Error("the value is not a time: expected last_login_precision = us");
  }
  return Number(text.slice(0, LOGIN_DIGITS).padEnd(LOGIN_DIGITS, "0")) / 1000;
}
