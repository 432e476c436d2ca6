/**
 * DRAC, Dynamic Relay Authorization Control: an RPC program with one procedure, which authorizes an
 * address. The argument is an IPv4 address in version 1 and an IPv6 address in version 2; the
 * result is a status. The protocol has no users and no times, and can neither query nor revoke.
 */
import { addressFromBytes, bytesOf, type Address } from "../login/address.ts";
import { words } from "./message.ts";

export const DRAC_PROGRAM = 900_101;

export const DRAC_VERSIONS = [1, 2] as const;

/** The procedure that every RPC program has, and that does nothing. */
export const NULL_PROCEDURE = 0;

export const ADD_PROCEDURE = 1;

/** The status that a dracd returns. */
export const DRAC_STATUS = { success: 0, permissionDenied: 1, systemError: 2 } as const;

/** The version for an address. */
export function dracVersion(address: Address): (typeof DRAC_VERSIONS)[number] {
  return address.includes(":") ? 2 : 1;
}

export function encodeDracArgument(address: Address): Buffer {
  const bytes = bytesOf(address);
  // XDR sends a C char as a word, with its sign
  return bytes.length === 4
    ? Buffer.from(bytes)
    : words(...bytes.map((byte) => (byte < 0x80 ? byte : byte - 0x100)));
}

/** The address in an argument; undefined if it is not valid in this version. */
export function decodeDracArgument(version: number, argument: Buffer): Address | undefined {
  if (version === 1) return argument.length === 4 ? addressFromBytes([...argument]) : undefined;
  if (version !== 2 || argument.length !== 64) return undefined;
  const chars = Array.from({ length: 16 }, (_, index) => argument.readInt32BE(index * 4));
  if (chars.some((char) => char < -0x80 || char > 0xff)) return undefined;
  return addressFromBytes(chars.map((char) => char & 0xff));
}
