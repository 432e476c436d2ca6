/**
 * A client of rpcbind, formerly the portmapper, which knows the ports of RPC programs. Queries use
 * version 2 over UDP (RFC 1833, 3), as DRAC clients do. Registrations use version 3 over the Unix
 * socket, where rpcbind knows the user of a client, so that registering does not require root.
 */
import { connect } from "node:net";
import { reasonOf } from "../lib/errors.ts";
import { resultOf, RpcClient, RpcError } from "./client.ts";
import { decodeReply, encodeCall, words } from "./message.ts";
import { encodeRecord, RecordReader } from "./record.ts";

const PORT = 111;
const PROGRAM = 100_000;

/** Version 2. */
const GETPORT = 3;
const TRANSPORTS = { udp: 17, tcp: 6 } as const;

/** Version 3. */
const SET = 1;
const UNSET = 2;

/** The socket of this host's rpcbind(8). */
const SOCKET = "/run/rpcbind.sock";

/** How long to wait for rpcbind to confirm a registration, in milliseconds. */
const TELL_MS = 3_000;

/** The longest reply to a registration, in bytes; a boolean takes 28 in all. */
const REPLY_BYTES = 1_024;

export type Transport = keyof typeof TRANSPORTS;

/** A version of a program over one transport. */
export interface Mapping {
  readonly program: number;
  readonly version: number;
  readonly transport: Transport;
}

/**
 * The port of a program; undefined if it is not registered.
 *
 * @param address the host's, IPv4
 * @param deadline milliseconds
 * @throws RpcError
 */
export async function portOf(
  address: string,
  { program, version, transport }: Mapping,
  deadline: number,
): Promise<number | undefined> {
  using client = await RpcClient.open({ address, port: PORT });
  const argument = words(program, version, TRANSPORTS[transport], 0);
  const result = await client.call(
    { program: PROGRAM, version: 2, procedure: GETPORT, argument },
    deadline,
  );
  const port = result.length === 4 ? result.readUInt32BE() : NaN;
  if (port === 0) return undefined;
  if (port <= 65_535) return port;
  throw new RpcError("answers with an invalid port");
}

/**
 * Registers a port of this host. False if another port is registered. Throws RpcError without an
 * rpcbind.
 */
export function register(mapping: Mapping, port: number): Promise<boolean> {
  return tell(SET, mapping, `0.0.0.0.${port >> 8}.${port & 0xff}`);
}

/**
 * Removes the registration of any port. False if there is none, or it is another user's. Throws
 * RpcError.
 */
export function unregister(mapping: Mapping): Promise<boolean> {
  return tell(UNSET, mapping, "");
}

async function tell(
  procedure: number,
  { program, version, transport }: Mapping,
  where: string,
): Promise<boolean> {
  const owner = "";
  const argument = Buffer.concat([
    words(program, version),
    ...[transport, where, owner].map(encodeString),
  ]);
  const call = encodeCall({ xid: 0, program: PROGRAM, version: 3, procedure, argument });
  const result = resultOf(decodeReply(await exchange(call)));
  return result.length === 4 && result.readUInt32BE() === 1;
}

/** The length, the bytes, and zeros to complete the last word. */
function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([words(bytes.length), bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

async function exchange(message: Buffer): Promise<Buffer> {
  const socket = connect({ path: SOCKET });
  socket.setTimeout(TELL_MS, () =>
    socket.destroy(new Error(`no answer within ${TELL_MS / 1_000} s`)),
  );
  socket.write(encodeRecord(message));
  const reader = new RecordReader(REPLY_BYTES);
  try {
    const chunks: AsyncIterable<Buffer> = socket;
    for await (const chunk of chunks) {
      for (const reply of reader.read(chunk)) return reply;
    }
  } catch (cause) {
    throw new RpcError(reasonOf(cause), { cause });
  } finally {
    socket.destroy();
  }
  throw new RpcError("hangs up");
}
