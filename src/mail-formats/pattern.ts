import { setFlagsFromString } from "node:v8";
import { reasonOf } from "../lib/errors.ts";
import { decodeText } from "../spool/entry.ts";
import { cutUser } from "../login/login.ts";
import { parseAddress } from "../login/address.ts";
import { printable } from "../lib/terminal.ts";
import type { Found } from "./format.ts";

/** What a pattern can tell of a line, each the name of a group: `(?<address>...)`. Only the address has to be. */
const GROUPS = ["address", "user", "service", "time"];

/** After so many wrong ways, V8 goes on with an algorithm whose time grows only as the line does. */
const WRONG_WAYS = 10_000;

/** V8's own flag: compiles only what can be done in linear time. */
const LINEAR = "l";

/** A service's name is as long in the spool. Characters. */
const SERVICE_LENGTH = 32;

/** A format of the administrator's own. */
export interface Pattern {
  /** The login that a line tells of. The regular expression may match anywhere in it. */
  readonly read: (line: Buffer) => Found;
}

/**
 * Makes a format from a regular expression as JavaScript has them, or says what is wrong with it.
 *
 * No line holds it up, however the expression is made: `(a+)+$` and its like, which take forever where they do not match, are
 * continued in linear time. What that cannot do (looking ahead, and references back to a group) is refused.
 */
export function parsePattern(source: string): Pattern | string {
  setFlagsFromString("--enable-experimental-regexp-engine");
  setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
  setFlagsFromString(`--regexp-backtracks-before-fallback=${String(WRONG_WAYS)}`);
  let expression: RegExp;
  try {
    expression = new RegExp(source);
    void new RegExp(source, LINEAR);
  } catch (error) {
    return whatIsWrong(error);
  }
  // an alternative that matches the empty string shows which groups there are
  const names = Object.keys(new RegExp(`${source}|`).exec("")?.groups ?? {});
  if (!names.includes("address")) return "has no group (?<address>...)";
  const unknown = names.find((name) => !GROUPS.includes(name));
  if (unknown !== undefined) {
    return `has a group ${printable(unknown)}; known are ${GROUPS.join(", ")}`;
  }
  return { read: (line) => readWith(expression, decodeText(line)) };
}

function whatIsWrong(error: unknown): string {
  const message = reasonOf(error);
  const reason = printable(message.slice(message.lastIndexOf(": ") + 2));
  return reason === "Cannot be executed in linear time"
    ? "looks ahead, refers back to a group or repeats something more than 16 times, which could take forever; put it in other words"
    : `is no regular expression: ${reason}`;
}

function readWith(expression: RegExp, line: string): Found {
  const groups = expression.exec(line)?.groups;
  if (groups === undefined) return undefined;
  const address = parseAddress(groups["address"] ?? "");
  if (address === undefined) return "what the pattern takes for the address is none";
  return {
    address,
    user: cutUser(groups["user"] ?? ""),
    service: (groups["service"] ?? "").slice(0, SERVICE_LENGTH),
    time: groups["time"],
  };
}
