/** Answers calls to one RPC program, over any transport. */
import {
  decodeCall,
  encodeResult,
  encodeTrouble,
  MalformedMessage,
  TROUBLE,
  type Call,
} from "./message.ts";

/** An RPC program. */
export interface RpcProgram {
  readonly number: number;
  /** The lowest and the highest version; those between exist too. */
  readonly versions: readonly [number, number];
  /**
   * Executes a procedure of an existing version, and returns its result; undefined if the procedure
   * does not exist.
   *
   * @throws MalformedMessage if the argument does not fit the procedure
   */
  readonly call: (call: Call) => Promise<Buffer> | undefined;
}

/**
 * The reply to a message; undefined if there can be none.
 *
 * @param onMalformed called for a violation of the protocol
 */
export async function answerCall(
  message: Buffer,
  program: RpcProgram,
  onMalformed: (why: string) => void,
): Promise<Buffer | undefined> {
  let call: ReturnType<typeof decodeCall>;
  try {
    call = decodeCall(message);
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    onMalformed(error.message);
    return undefined;
  }
  if ("denied" in call) return call.denied;
  const { xid } = call;
  const [lowest, highest] = program.versions;
  const trouble = (what: (typeof TROUBLE)[keyof typeof TROUBLE]) =>
    encodeTrouble(xid, what, program.versions);
  if (call.program !== program.number) return trouble(TROUBLE.noProgram);
  if (call.version < lowest || call.version > highest) return trouble(TROUBLE.noVersion);
  try {
    const result = program.call(call);
    return result === undefined ? trouble(TROUBLE.noProcedure) : encodeResult(xid, await result);
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    onMalformed(error.message);
    return trouble(TROUBLE.badArgument);
  }
}
