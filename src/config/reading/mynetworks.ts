/** The networks that Postfix trusts: its parameter mynetworks. */
import { readFileSync } from "node:fs";
import { parseNetwork, type Address, type Network } from "../../login/address.ts";
import { runProgram } from "../../system/run-program.ts";
import { printable } from "../../lib/terminal.ts";
import { quote, whyUnreadable } from "./values.ts";

/**
 * mynetworks as it is now, as one network; or why it cannot be had, and what to do about it.
 *
 * It is asked of postconf(1), for the configuration that MAIL_CONFIG in the environment names, if it does. That may take two seconds:
 * Postfix does not read a main.cf that somebody may still be writing.
 */
export async function readMynetworks(): Promise<Network | string> {
  const { MAIL_CONFIG } = process.env;
  const which = MAIL_CONFIG === undefined ? [] : ["-c", MAIL_CONFIG];
  const result = await runProgram("postconf", [...which, "-x", "-h", "mynetworks"]);
  if (result?.ok === true) return parseMynetworks(result.stdout);
  const why =
    result === undefined
      ? "there is no postconf on this host"
      : `postconf fails: ${printable(result.complaint)}`;
  return `"postfix": ${why}; list the networks instead`;
}

/** Reads the list as Postfix does (postconf(5), mynetworks; src/util/match_list.c): the first pattern that matches decides. */
export function parseMynetworks(value: string): Network | string {
  const patterns: Pattern[] = [];
  try {
    for (const pattern of readPatterns(value, true, [])) patterns.push(pattern);
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error;
    return `"postfix": mynetworks has ${error.message}; list the networks instead`;
  }
  const trusts = (address: Address) =>
    patterns.find(({ network }) => network.contains(address))?.isTrusted ?? false;
  return { text: "Postfix's mynetworks", contains: trusts };
}

interface Pattern {
  readonly network: Network;
  /** False behind an odd number of `!`: then what it contains is not trusted. */
  readonly isTrusted: boolean;
}

/** What the list has that is no network. */
class NotUnderstood extends Error {}

const NOBODY: Network = { text: "", contains: () => false };

/** @param files in which the list is */
function* readPatterns(
  text: string,
  isTrusted: boolean,
  files: readonly string[],
): Generator<Pattern> {
  for (const word of text.split(/[\s,]+/)) {
    const [, marks = "", pattern = ""] = /^(!*)(.*)$/.exec(word) ?? [];
    const isItTrusted = marks.length % 2 === 0 ? isTrusted : !isTrusted;
    if (pattern.startsWith("/")) {
      const list = readList(pattern, files);
      yield* readPatterns(list, isItTrusted, [...files, pattern]);
    } else if (pattern !== "") {
      yield { network: readPattern(pattern), isTrusted: isItTrusted };
    }
  }
}

function readList(path: string, files: readonly string[]): string {
  if (files.includes(path)) throw new NotUnderstood(`the file ${quote(path)} within itself`);
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.filter((line) => !line.startsWith("#")).join("\n");
  } catch (cause) {
    throw new NotUnderstood(`the file ${quote(path)}, and ${whyUnreadable(cause)}`, { cause });
  }
}

/** IPv6 is in brackets; what has a colon, and no bracket in front, is a table (src/util/match_ops.c). */
function readPattern(pattern: string): Network {
  const [, address, length = ""] = /^\[([^[\]]*)\](\/.*)?$/.exec(pattern) ?? [];
  if (address === undefined && pattern.includes(":")) {
    throw new NotUnderstood(`the table ${quote(pattern)}, and tables are not read`);
  }
  // Postfix takes a client that comes as ::ffff:192.0.2.1 for 192.0.2.1: no client is in such a network
  if (/^::ffff:[\d.]+$/i.test(address ?? "")) return NOBODY;
  const network = parseNetwork(address === undefined ? pattern : address + length);
  if (network === undefined) throw new NotUnderstood(`${quote(pattern)}, which is no network`);
  return network;
}
