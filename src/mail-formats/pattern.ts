import { setFlagsFromString } from "node:v8";
import { reasonOf } from "../lib/errors.ts";
import { decodeText } from "../spool/entry.ts";
import { cutUser } from "../login/login.ts";
import { parseAddress } from "../login/address.ts";
import { printable } from "../lib/terminal.ts";
import type { LineReading } from "./format.ts";

/** The groups of a pattern, such as `(?<address>...)`. Only the address is required. */
const GROUPS = ["address", "user", "service", "time"];

/** After this many backtracks, V8 continues with a linear-time algorithm. */
const WRONG_WAYS = 10_000;

/** V8's own flag: accepts only expressions that the linear-time algorithm can match. */
const LINEAR = "l";

/** The longest name of a service in the spool, in characters. */
const SERVICE_LENGTH = 32;

/** The administrator's own format. */
export interface Pattern {
  /** The login in a line. The expression may match anywhere in it. */
  readonly read: (line: Buffer) => LineReading;
}

/**
 * Makes a format from a JavaScript regular expression, or returns its error.
 *
 * Expressions such as `(a+)+$` take exponential time on some lines; V8 matches them in linear time
 * instead. Look-ahead and back-references, which exclude that, are rejected.
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
  // an alternative that matches the empty string reveals the groups
  const names = Object.keys(new RegExp(`${source}|`).exec("")?.groups ?? {});
  if (!names.includes("address")) return "has no group (?<address>...)";
  const unknown = names.find((name) => !GROUPS.includes(name));
  if (unknown !== undefined) {
    return `has an unknown group ${printable(unknown)}; expected ${GROUPS.join(", ")}`;
  }
  return { read: (line) => readWith(expression, decodeText(line)) };
}

function whatIsWrong(error: unknown): string {
  const message = reasonOf(error);
  const reason = printable(message.slice(message.lastIndexOf(": ") + 2));
  return reason === "Cannot be executed in linear time"
    ? "uses lookahead, a back-reference or more than 16 repetitions, and could run for an unlimited time; rewrite it without them"
    : `is not a regular expression: ${reason}`;
}

function readWith(expression: RegExp, line: string): LineReading {
  const groups = expression.exec(line)?.groups;
  if (groups === undefined) return undefined;
  const address = parseAddress(groups["address"] ?? "");
  if (address === undefined) return "the text that matches the group address is not an address";
  return {
    address,
    user: cutUser(groups["user"] ?? ""),
    service: (groups["service"] ?? "").slice(0, SERVICE_LENGTH),
    time: groups["time"],
  };
}
