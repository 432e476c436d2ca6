/**
 * rpcbind, once called the portmapper: who knows at which port of a host an RPC program is. Asked in version 2 over UDP (RFC 1833, 3),
 * as the clients of DRAC do; told in version 3 over its Unix socket, where it knows who somebody is: so that one need not be root.
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

/** Where rpcbind(8) listens for this host's programs. */
const SOCKET = "/run/rpcbind.sock";

/** How long rpcbind may take to be told something. Milliseconds. */
const TELL_MS = 3_000;

/** Of rpcbind's replies to what it is told. Bytes; a boolean takes 28 in all. */
const REPLY_BYTES = 1_024;

export type Transport = keyof typeof TRANSPORTS;

/** A version of a program, by one of the ways to it. */
export interface Mapping {
  readonly program: number;
  readonly version: number;
  readonly transport: Transport;
}

/**
 * The port of a program at a host, undefined where none is registered.
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
  throw new RpcError("answers with what is no port");
}

/** Registers a port of this host. False: another one is registered. Throws RpcError where there is no rpcbind. */
export function register(mapping: Mapping, port: number): Promise<boolean> {
  return tell(SET, mapping, `0.0.0.0.${port >> 8}.${port & 0xff}`);
}

/** Takes a registration back, whatever its port is. False: there is none, or it is somebody else's. Throws RpcError. */
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

/** Length, bytes, and zeros up to a whole word. */
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
