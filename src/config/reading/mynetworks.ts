/** `exclude`: networks, among them those that Postfix trusts. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { parseNetwork, type Address, type Network } from "../../login/address.ts";
import { runProgram } from "../../system/run-program.ts";
import { printable } from "../../lib/terminal.ts";
import { network as networkValue, quote, whyUnreadable } from "./values.ts";

/** Stands for the networks that Postfix trusts. */
export const POSTFIX = "postfix";

const SPELLING = `expected a list of networks such as ["192.0.2.0/24"], or "${POSTFIX}"`;

const postfix = v.literal(POSTFIX, SPELLING);
const onlyPostfix = v.pipe(
  postfix,
  v.transform((only): readonly (Network | typeof POSTFIX)[] => [only]),
);
const networkList = v.array(
  v.lazy((input) => (input === POSTFIX ? postfix : networkValue)),
  SPELLING,
);

/** A list of networks, in which "postfix" stands for mynetworks; or "postfix" alone. */
export const networks = v.lazy((input) => (Array.isArray(input) ? networkList : onlyPostfix));

/**
 * The current value of mynetworks as one network; or why it is unknown, and what to do about it.
 *
 * It asks postconf(1), which honours MAIL_CONFIG. That may take two seconds: Postfix waits while a
 * main.cf looks as if it is still being written.
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

/**
 * Parses the list as Postfix does (postconf(5), mynetworks; src/util/match_list.c): the first
 * pattern that matches decides.
 */
export function parseMynetworks(value: string): Network | string {
  const patterns: NetworkPattern[] = [];
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

interface NetworkPattern {
  readonly network: Network;
  /** False after an odd number of `!`: the network is not trusted. */
  readonly isTrusted: boolean;
}

/** The list contains something other than networks. */
class NotUnderstood extends Error {}

const NOBODY: Network = { text: "", contains: () => false };

/** @param files the files that contain the list, innermost last */
function* readPatterns(
  text: string,
  isTrusted: boolean,
  files: readonly string[],
): Generator<NetworkPattern> {
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

/**
 * IPv6 addresses are in brackets; a pattern with a colon but no bracket in front is a table
 * (src/util/match_ops.c).
 */
function readPattern(pattern: string): Network {
  const [, address, length = ""] = /^\[([^[\]]*)\](\/.*)?$/.exec(pattern) ?? [];
  if (address === undefined && pattern.includes(":")) {
    throw new NotUnderstood(`the table ${quote(pattern)}, and tables are not read`);
  }
  // Postfix treats a client at ::ffff:192.0.2.1 as 192.0.2.1, so no client is in this network
  if (/^::ffff:[\d.]+$/i.test(address ?? "")) return NOBODY;
  const network = parseNetwork(address === undefined ? pattern : address + length);
  if (network === undefined) throw new NotUnderstood(`${quote(pattern)}, which is no network`);
  return network;
}
