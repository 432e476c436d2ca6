/**
 * The messages of ONC RPC (RFC 5531), which consist of words of four bytes, most significant byte
 * first (XDR, RFC 4506):
 *
 *     call    xid, 0, 2, program, version, procedure, credential, verifier, argument
 *     reply   xid, 1, 0, verifier, 0, result          accepted and executed
 *             xid, 1, 0, verifier, 1 to 5, ...        accepted, but failed: see {@link Trouble}
 *             xid, 1, 1, ...                          denied
 *
 * A credential or a verifier is a flavour, a length, and that many bytes, padded to whole words.
 */

/** A violation of the protocol, with the reason. It is not answered. */
export class MalformedMessage extends Error {
  override name = "MalformedMessage";
}

/** A call, without its credential and verifier. */
export interface Call {
  readonly xid: number;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly argument: Buffer;
}

/** accept_stat without SUCCESS: why an accepted call failed. */
export const TROUBLE = {
  noProgram: 1,
  noVersion: 2,
  noProcedure: 3,
  badArgument: 4,
  systemError: 5,
} as const;

export type Trouble = (typeof TROUBLE)[keyof typeof TROUBLE];

const CALL = 0;
const REPLY = 1;
const RPC_VERSION = 2;
const SUCCESS = 0;
const DENIED = 1;
const RPC_MISMATCH = 0;
const AUTH_ERROR = 1;
const AUTH_REJECTED = 2;

/** AUTH_NONE and AUTH_SYS. The other flavours begin with an exchange of their own. */
const FLAVORS = [0, 1];

/** The longest credential or verifier in bytes: RFC 5531, 8.2. */
const AUTH_BYTES = 400;

/** Encodes words. */
export function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeUInt32BE(number >>> 0, index * 4);
  return bytes;
}

/** Anonymous. */
const AUTH_NONE = words(0, 0);

export function encodeCall({ xid, program, version, procedure, argument }: Call): Buffer {
  const header = words(xid, CALL, RPC_VERSION, program, version, procedure);
  return Buffer.concat([header, AUTH_NONE, AUTH_NONE, argument]);
}

/**
 * Parses a call, or returns the denial of a call in another version of RPC.
 *
 * @throws MalformedMessage if it is not a call
 */
export function decodeCall(bytes: Buffer): Call | { readonly denied: Buffer } {
  const message = new Words(bytes);
  const xid = message.next();
  if (message.next() !== CALL) throw new MalformedMessage("no call");
  if (message.next() !== RPC_VERSION) {
    return { denied: words(xid, REPLY, DENIED, RPC_MISMATCH, RPC_VERSION, RPC_VERSION) };
  }
  const [program, version, procedure] = [message.next(), message.next(), message.next()];
  const flavor = message.auth();
  message.auth();
  if (!FLAVORS.includes(flavor)) {
    return { denied: words(xid, REPLY, DENIED, AUTH_ERROR, AUTH_REJECTED) };
  }
  return { xid, program, version, procedure, argument: message.rest() };
}

export function encodeResult(xid: number, result: Buffer): Buffer {
  return Buffer.concat([words(xid, REPLY, 0), AUTH_NONE, words(SUCCESS), result]);
}

/** @param versions for {@link TROUBLE.noVersion}: the lowest and the highest version */
export function encodeTrouble(xid: number, trouble: Trouble, versions: readonly number[]): Buffer {
  const rest = trouble === TROUBLE.noVersion ? words(...versions) : words();
  return Buffer.concat([words(xid, REPLY, 0), AUTH_NONE, words(trouble), rest]);
}

/**
 * The reply of a server: the result, or why there is none, in words and, for an accepted call, as
 * accept_stat.
 */
export type Reply =
  | { readonly xid: number; readonly result: Buffer }
  | { readonly xid: number; readonly trouble: string; readonly code: number | undefined };

/** @throws MalformedMessage if it is not a reply */
export function decodeReply(bytes: Buffer): Reply {
  const message = new Words(bytes);
  const xid = message.next();
  if (message.next() !== REPLY) throw new MalformedMessage("no reply");
  const status = message.next();
  if (status === DENIED) {
    const reason =
      message.next() === AUTH_ERROR ? "asks for credentials" : "speaks another version of RPC";
    return { xid, trouble: reason, code: undefined };
  }
  if (status !== 0) throw new MalformedMessage("neither accepted nor denied");
  message.auth();
  const code = message.next();
  if (code === SUCCESS) return { xid, result: message.rest() };
  return { xid, trouble: WHAT[code] ?? `answers with error ${code}`, code };
}

const WHAT: Readonly<Record<number, string>> = {
  [TROUBLE.noProgram]: "does not know this program",
  [TROUBLE.noVersion]: "does not know this version of the program",
  [TROUBLE.noProcedure]: "does not know this procedure",
  [TROUBLE.badArgument]: "does not understand the argument",
  [TROUBLE.systemError]: "reports a system error",
};

/** Reads a message word by word. Each method throws MalformedMessage at the end. */
class Words {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(): number {
    return this.#take(4).readUInt32BE();
  }

  /** Skips a credential or a verifier, and returns its flavour. */
  auth(): number {
    const [flavor, length] = [this.next(), this.next()];
    if (length > AUTH_BYTES) throw new MalformedMessage("a credential that is too long");
    this.#take(Math.ceil(length / 4) * 4);
    return flavor;
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    if (taken.length < length) throw new MalformedMessage("ends too early");
    this.#at += length;
    return taken;
  }
}
