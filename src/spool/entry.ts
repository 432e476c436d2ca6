/**
 * A login in the spool: one file, which the launcher (bin/launcher) writes without a child process.
 *
 * Its name is `<microseconds since 1970>.<process id of the writer>`, so that names sort by time.
 * It contains `1`, the address, the service and the user, each with a NUL at its end, then a
 * newline: a file without the newline is still being written, or its writer was killed. A value
 * comes from the environment, so it can contain any byte but NUL.
 */
import { isUtf8 } from "node:buffer";
import { parseAddress } from "../login/address.ts";
import { cutUser, type Login } from "../login/login.ts";

/** The parsed name of a login's file. */
export interface EntryName {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The writer, which may be waiting for the removal of the file. */
  readonly pid: number;
}

/** The longest entry in bytes; the wrapper writes no longer file. */
export const ENTRY_BYTES = 8192;

/** undefined if the name is not that of a login's file. */
export function parseEntryName(name: string): EntryName | undefined {
  const match = /^(\d{16})\.(\d{1,10})$/.exec(name);
  if (match === null) return undefined;
  return { name, time: Number(match[1]) / 1000, pid: Number(match[2]) };
}

/**
 * The login in a file; undefined if the file is (still) incomplete. Throws if it is complete but
 * invalid.
 */
export function parseEntry({ time }: EntryName, bytes: Buffer): Login | undefined {
  if (bytes.length < 2 || bytes.at(-1) !== 0x0a || bytes.at(-2) !== 0) return undefined;
  const [version, address, service, user, ...rest] = fields(bytes.subarray(0, -1));
  if (
    version === undefined ||
    address === undefined ||
    service === undefined ||
    user === undefined
  ) {
    // bash writes line by line: the first line of the user name has ended, the rest is missing
    return undefined;
  }
  if (version.toString("latin1") !== "1" || rest.length > 0) throw new Error("unknown format");
  const parsed = parseAddress(address.toString("latin1"));
  if (parsed === undefined) throw new Error("contains no address");
  return {
    address: parsed,
    service: serviceName(service.toString("latin1")),
    user: cutUser(decodeText(user)),
    time,
  };
}

/**
 * By default a wrapper records the name of the program that it executes. The name of Dovecot's
 * script-login does not tell the service.
 */
function serviceName(text: string): string {
  return /^[\w.-]{1,31}$/.test(text) && text !== "script-login" ? text : "";
}

function fields(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start);
    found.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return found;
}

/** A login's file in the spool, as the launcher writes it. */
export function formatEntry({ address, service, user }: Login): Buffer {
  return Buffer.from(`1\0${address}\0${service}\0${user}\0\n`);
}

/** UTF-8; invalid bytes become \xHH, since the stores contain text. */
export function decodeText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString();
  let decoded = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes.readUInt8(at));
    const sequence = bytes.subarray(at, at + length);
    if (sequence.length === length && isUtf8(sequence)) {
      decoded += sequence.toString();
      at += length;
    } else {
      decoded += `\\x${sequence.toString("hex", 0, 1)}`;
      at += 1;
    }
  }
  return decoded;
}

function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}
