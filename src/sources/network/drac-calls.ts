/** Logins that DRAC's clients tell of: rpc.dracd's part, in src/rpc/drac-protocol.ts' words. */
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
  /** Records a login, and says whether it is safe. */
  readonly record: (login: Login) => Promise<boolean>;
  /** Whether somebody may tell of logins. */
  readonly isAllowed: (caller: Address) => boolean;
  readonly now: Clock;
  /** Told of a call by somebody who may not. */
  readonly onDenied: (caller: Address) => void;
  /** Told of what is no call, or has no address in it. */
  readonly onMalformed: (why: string) => void;
}

/** The answer to a message, once the login in it is recorded; undefined where there is none to give. */
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
