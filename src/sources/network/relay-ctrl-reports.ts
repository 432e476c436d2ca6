/**
 * Logins that relay-ctrl-send reports: the part of relay-ctrl-udp. A datagram is an address; an
 * answer of one byte confirms it.
 */
import { parseAddress, type Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import type { Clock } from "../../lib/clock.ts";

const TAKEN = Buffer.of(1);

/** The longest spelling of an IPv6 address. */
const ADDRESS_BYTES = 45;

export interface RelayCtrlOptions {
  /** Records a login; true if it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  /** Whether a host may report logins. */
  readonly isAllowed: (sender: Address) => boolean;
  readonly now: Clock;
  /** Called for a datagram from a host that may not. */
  readonly onDenied: (sender: Address) => void;
  /** Called for a datagram that is not an address. */
  readonly onMalformed: (why: string) => void;
}

/**
 * The answer to a datagram, once its login is recorded; undefined: none, and the sender tries
 * again.
 */
export async function answerRelayCtrl(
  datagram: Buffer,
  sender: Address,
  { record, isAllowed, now, onDenied, onMalformed }: RelayCtrlOptions,
): Promise<Buffer | undefined> {
  if (!isAllowed(sender)) {
    onDenied(sender);
    return undefined;
  }
  const address =
    datagram.length <= ADDRESS_BYTES ? parseAddress(datagram.toString("latin1")) : undefined;
  if (address === undefined) {
    onMalformed("no address");
    return undefined;
  }
  const isSafe = await record({ address, user: "", service: "relay-ctrl", time: now() });
  return isSafe ? TAKEN : undefined;
}
