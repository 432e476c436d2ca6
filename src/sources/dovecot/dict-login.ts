/** From a key that Dovecot's last_login plugin sets to a login: `shared/popbsmtp/SERVICE/ADDRESS/USER`. */
import type { Time } from "../../lib/clock.ts";
import { parseAddress } from "../../login/address.ts";
import { cutUser, type Login } from "../../login/login.ts";
import { decodeText } from "../../spool/entry.ts";
import type { DictSet } from "./dict-reader.ts";

/** Logins of Dovecot's other services, and of doveadm, read no mail from an address. */
const SERVICES = ["imap", "pop3"];

/** Dovecot runs on this host: its clock is this one. Milliseconds. */
const AHEAD_MS = 1_000;

/** How many digits a time from 2001 to 2286 has, by `last_login_precision`: s, ms, us, ns. */
const DIGITS = [10, 13, 16, 19];

/** What a login's time may have: microseconds. */
const LOGIN_DIGITS = 16;

/**
 * The login; undefined where none is to be recorded: it is another service's, or has no address, as that of a program on this host.
 *
 * @param major the protocol's version, to tell which Dovecot's settings to name
 * @throws Error that says what is wrong with Dovecot's configuration
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
      `last_login_key: ${JSON.stringify(address)} is no address; expected ${keyFor(major)}`,
    );
  }
  const time = timeOf(value.toString("latin1"));
  return {
    address: parsed,
    service,
    user: cutUser(decodeText(Buffer.from(user, "latin1"))),
    // a later one would be worth more than the lifetime
    time: time > now + AHEAD_MS ? now : time,
  };
}

/** What last_login_key has to be. */
function keyFor(major: number | undefined): string {
  return major === 4 ? "popbsmtp/%{protocol}/%{remote_ip}/%{user}" : "popbsmtp/%s/%r/%u";
}

/** Milliseconds since 1970. */
function timeOf(text: string): number {
  if (!/^[1-9]\d*$/.test(text) || !DIGITS.includes(text.length)) {
    throw new Error("the value is no time: expected last_login_precision = us");
  }
  return Number(text.slice(0, LOGIN_DIGITS).padEnd(LOGIN_DIGITS, "0")) / 1000;
}
