/**
 * The formats in which mail servers log a login.
 *
 * Users choose their names, and most servers print the name before the address: `user=<x>,
 * rip=198.51.100.1, y=<>, rip=192.0.2.1`. So every format reads the whole message, from both ends
 * towards the name, and rejects a message that can be read in two ways.
 */
import { parseAddress, type Address } from "../login/address.ts";
import { cutUser } from "../login/login.ts";
import { decodeText } from "../spool/entry.ts";

/** A login that a line reports. */
export interface FoundLogin {
  readonly address: Address;
  readonly user: string;
  /** "imap" or "pop3"; "" if the line does not say. */
  readonly service: string;
  /** The time in the message, as written; undefined: the time at the beginning of the line. */
  readonly time?: string | undefined;
}

/**
 * A login; or the reason why a line that looks like a login is none; or undefined for any other
 * line.
 */
export type LineReading = FoundLogin | string | undefined;

/** RFC 3164 limits a syslog message to 1,024 bytes with its header, and some daemons cut there. */
export const SYSLOG_CUT = 1_000;

/** The format of one mail server. */
export interface ProgramFormat {
  /** The name of the format in the configuration. */
  readonly name: string;
  /** The names under which the server logs. */
  readonly programs: RegExp;
  /** Whether the server always logs its process id. Default: no. */
  readonly hasProcessId?: boolean;
  /** A message of this length may have been cut, by the server or by a syslog daemon. */
  readonly cutAt: number;
  /**
   * The beginning of messages that end, where they are cut, with blanks of a client's choice. The
   * journal removes blanks at the end, which hides the cut. Default: none.
   */
  readonly stripped?: RegExp;
  /** @param text the message, as Latin-1: one character for each byte */
  readonly read: (text: string, program: string) => LineReading;
}

/** The reason for rejecting a line in which several parts could be the address. */
export const TWO_WAYS =
  "it is ambiguous: a client may have chosen a user name that imitates the rest of the line";

/** The login that was read, if the address is valid. `user` is Latin-1. */
export function found(address: string, user: string, service: string): LineReading {
  const parsed = parseAddress(address);
  if (parsed === undefined) return "contains no address";
  return { address: parsed, user: cutUser(decodeText(Buffer.from(user, "latin1"))), service };
}

/** `text` before and after `part`; undefined unless `part` occurs exactly once. */
export function splitOnce(text: string, part: string): readonly [string, string] | undefined {
  const at = text.indexOf(part);
  return at < 0 || at !== text.lastIndexOf(part)
    ? undefined
    : [text.slice(0, at), text.slice(at + part.length)];
}
