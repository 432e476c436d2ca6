/**
 * DRAC, Dynamic Relay Authorization Control: an RPC program with one procedure, which authorizes an address. The argument of
 * version 1 is an IPv4 address, of version 2 an IPv6 address; the result is a status. There is nothing else: no user, no time, and no way
 * to ask or to take back.
 */
import { addressFromBytes, bytesOf, type Address } from "../login/address.ts";
import { words } from "./message.ts";

export const DRAC_PROGRAM = 900_101;

export const DRAC_VERSIONS = [1, 2] as const;

/** The procedure that does nothing: every RPC program has it. */
export const NULL_PROCEDURE = 0;

export const ADD_PROCEDURE = 1;

/** What a dracd answers. */
export const DRAC_STATUS = { success: 0, permissionDenied: 1, systemError: 2 } as const;

/** The version that can take an address. */
export function dracVersion(address: Address): (typeof DRAC_VERSIONS)[number] {
  return address.includes(":") ? 2 : 1;
}

export function encodeDracArgument(address: Address): Buffer {
  const bytes = bytesOf(address);
  // a char of C is a word, and has a sign
  return bytes.length === 4
    ? Buffer.from(bytes)
    : words(...bytes.map((byte) => (byte < 0x80 ? byte : byte - 0x100)));
}

/** The address in a call's argument; undefined where that is none of this version's. */
export function decodeDracArgument(version: number, argument: Buffer): Address | undefined {
  if (version === 1) return argument.length === 4 ? addressFromBytes([...argument]) : undefined;
  if (version !== 2 || argument.length !== 64) return undefined;
  const chars = Array.from({ length: 16 }, (_, index) => argument.readInt32BE(index * 4));
  if (chars.some((char) => char < -0x80 || char > 0xff)) return undefined;
  return addressFromBytes(chars.map((char) => char & 0xff));
}
