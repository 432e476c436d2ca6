/** Logins that relay-ctrl-send tells of: relay-ctrl-udp's part. A datagram is an address; one byte says that it was taken. */
import { parseAddress, type Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import type { Clock } from "../../lib/clock.ts";

const TAKEN = Buffer.of(1);

/** An IPv6 address in its longest spelling. */
const ADDRESS_BYTES = 45;

export interface RelayCtrlOptions {
  /** Records a login, and says whether it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  /** Whether somebody may tell of logins. */
  readonly isAllowed: (sender: Address) => boolean;
  readonly now: Clock;
  /** Told of a datagram from somebody who may not. */
  readonly onDenied: (sender: Address) => void;
  /** Told of a datagram that is no address. */
  readonly onMalformed: (why: string) => void;
}

/** The answer to a datagram, once the login in it is recorded; undefined: none, and the sender will try again. */
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
