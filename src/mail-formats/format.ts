/**
 * How mail servers write of a login.
 *
 * Users choose their names, and most servers print the name before the address: `user=<x>, rip=198.51.100.1, y=<>, rip=192.0.2.1`. So
 * every format reads the whole message, from both ends towards the name, and what could be read in two ways is no login.
 */
import { parseAddress, type Address } from "../login/address.ts";
import { cutUser } from "../login/login.ts";
import { decodeText } from "../spool/entry.ts";

/** A login as a line tells of it. */
export interface FoundLogin {
  readonly address: Address;
  readonly user: string;
  /** "imap" or "pop3"; "" where it is not said. */
  readonly service: string;
  /** When, as it is written in the line; undefined: with the time that the line begins with. */
  readonly time?: string | undefined;
}

/** A login; or, as text, why what looks like one is none; or nothing of that kind. */
export type Found = FoundLogin | string | undefined;

/** By RFC 3164 a syslog message has 1,024 bytes with its header; whoever is stricter cuts there. */
export const SYSLOG_CUT = 1_000;

/** A server's way. */
export interface ProgramFormat {
  /** What `format` in the configuration calls it. */
  readonly name: string;
  /** The names it has in a log. */
  readonly programs: RegExp;
  /** It always logs its process id after its name. Default: not always. */
  readonly hasProcessId?: boolean;
  /** A message of as many bytes may have been cut there, by the server or by a syslog daemon. */
  readonly cutAt: number;
  /**
   * How a message begins that ends with blanks of a client's choice where it is cut. The journal removes blanks at the end, which hides
   * that it was cut. Default: there is none.
   */
  readonly stripped?: RegExp;
  /** @param text the message, as Latin-1: a character for each byte */
  readonly read: (text: string, program: string) => Found;
}

/** Said of a line in which there is more than one place where the address could be. */
export const TWO_WAYS = "it can be read in two ways; somebody may have chosen a name to that end";

/** What was read, if its address is one. `user` is Latin-1. */
export function found(address: string, user: string, service: string): Found {
  const parsed = parseAddress(address);
  if (parsed === undefined) return "no address in it";
  return { address: parsed, user: cutUser(decodeText(Buffer.from(user, "latin1"))), service };
}

/** `text` before and after `part`; undefined where it is not in it exactly once. */
export function splitOnce(text: string, part: string): readonly [string, string] | undefined {
  const at = text.indexOf(part);
  return at < 0 || at !== text.lastIndexOf(part)
    ? undefined
    : [text.slice(0, at), text.slice(at + part.length)];
}
