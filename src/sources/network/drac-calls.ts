/** Logins that DRAC clients report: the part of rpc.dracd, over src/rpc/drac-protocol.ts. */
import type { Address } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import {
  ADD_PROCEDURE,
  decodeDracArgument,
  DRAC_PROGRAM,
  DRAC_STATUS,
  DRAC_VERSIONS,
  NULL_PROCEDURE,
} from "../../rpc/drac-protocol.ts";
import { MalformedMessage, words, type Call } from "../../rpc/message.ts";
import { answerCall } from "../../rpc/server.ts";
import type { Clock } from "../../lib/clock.ts";

export interface DracOptions {
  /** Records a login; true if it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  /** Whether a host may report logins. */
  readonly isAllowed: (caller: Address) => boolean;
  readonly now: Clock;
  /** Called for a call from a host that may not. */
  readonly onDenied: (caller: Address) => void;
  /** Called for a malformed call, or one without an address. */
  readonly onMalformed: (why: string) => void;
}

/** The answer to a message, once its login is recorded; undefined if there is none. */
export function answerDrac(
  message: Buffer,
  caller: Address,
  options: DracOptions,
): Promise<Buffer | undefined> {
  const program = {
    number: DRAC_PROGRAM,
    versions: DRAC_VERSIONS,
    call: (call: Call) => {
      if (call.procedure === NULL_PROCEDURE) return Promise.resolve(words());
      return call.procedure === ADD_PROCEDURE ? add(call, caller, options) : undefined;
    },
  };
  return answerCall(message, program, options.onMalformed);
}

async function add(
  { version, argument }: Call,
  caller: Address,
  { record, isAllowed, now, onDenied }: DracOptions,
): Promise<Buffer> {
  const address = decodeDracArgument(version, argument);
  if (address === undefined) throw new MalformedMessage(`no address of version ${version}`);
  if (!isAllowed(caller)) {
    onDenied(caller);
    return words(DRAC_STATUS.permissionDenied);
  }
  const isSafe = await record({ address, user: "", service: "drac", time: now() });
  return words(isSafe ? DRAC_STATUS.success : DRAC_STATUS.systemError);
}
