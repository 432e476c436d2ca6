/** Answers RPC calls to one program, wherever they come from. */
import {
  decodeCall,
  encodeResult,
  encodeTrouble,
  MalformedMessage,
  TROUBLE,
  type Call,
} from "./message.ts";

/** A program. */
export interface Program {
  readonly number: number;
  /** The lowest and the highest version; all in between are there. */
  readonly versions: readonly [number, number];
  /**
   * Does a procedure of a version that there is, and returns its result; undefined where there is no such procedure.
   *
   * @throws MalformedMessage where the argument is none of the procedure's
   */
  readonly call: (call: Call) => Promise<Buffer> | undefined;
}

/**
 * The reply to a message, undefined where none can be given.
 *
 * @param onMalformed told of what does not follow the protocol
 */
export async function answerCall(
  message: Buffer,
  program: Program,
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
