/**
 * `drac-allow`: the hosts that may call the daemon as DRAC clients, as a list of networks or as
 * rpc.dracd's file.
 */
import { readFileSync } from "node:fs";
import ipaddr from "ipaddr.js";
import * as v from "valibot";
import { parseAddress, parseNetwork, type Network } from "../../login/address.ts";
import { absolutePath, network, quote, whyUnreadable } from "./values.ts";

const SPELLING = 'expected a path, or a list of networks such as ["192.0.2.0/24"]';

/**
 * A line of dracd.allow, `netmask address`, as a network. dracd ignores lines that it cannot read,
 * and an address with bits outside its netmask matches no client; here both are errors.
 */
function parseLine(line: string): Network | string {
  const [mask = "", address = "", ...rest] = line.trim().split(/\s+/);
  const [base, bits] = [parseAddress(address), parseAddress(mask)];
  if (rest.length > 0 || base?.includes(":") !== false || bits?.includes(":") !== false) {
    return `${quote(line)} is no netmask and address; expected "255.255.255.0 192.0.2.0"`;
  }
  const length = ipaddr.IPv4.parse(bits).prefixLengthFromSubnetMask();
  if (length === null) return `${quote(mask)} is no netmask; expected one such as 255.255.255.0`;
  const first = ipaddr.IPv4.networkAddressFromCIDR(`${base}/${length}`).toString();
  if (first !== base) {
    return `${address} is longer than its netmask ${mask}, and so nobody's; expected "${mask} ${first}"`;
  }
  return parseNetwork(`${base}/${length}`) ?? SPELLING;
}

const file = v.pipe(
  v.string(SPELLING),
  absolutePath,
  v.rawTransform(({ dataset: { value: path }, addIssue, NEVER }): readonly Network[] => {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      addIssue({ message: `${path}: ${whyUnreadable(error)}` });
      return NEVER;
    }
    const parsed = text
      .split("\n")
      .map((line, index) => ({ line, number: index + 1 }))
      .filter(({ line }) => line.trim() !== "" && !line.startsWith("#"))
      .map(({ line, number }) => ({ number, network: parseLine(line) }));
    for (const { number, network: problem } of parsed) {
      if (typeof problem === "string") addIssue({ message: `${path}: line ${number}: ${problem}` });
    }
    const networks = parsed.flatMap(({ network: each }) => (typeof each === "string" ? [] : each));
    return networks.length < parsed.length ? NEVER : networks;
  }),
);

const list = v.array(network, SPELLING);

/** The path of a dracd.allow file, or a list of networks. If it is empty, no host may call. */
export const dracdAllow = v.lazy((input) => (Array.isArray(input) ? list : file));
