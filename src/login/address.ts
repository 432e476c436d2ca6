import { isIP, SocketAddress } from "node:net";
import ipaddr from "ipaddr.js";
import { Recent } from "../lib/recent.ts";

declare const canonical: unique symbol;

/**
 * An IP address in the canonical spelling of popbsmtp and Postfix: a dotted quad, or IPv6 as
 * inet_ntop(3) writes it (RFC 5952: lower case, compressed), without a zone. IPv4-mapped IPv6 is
 * written as IPv4.
 */
export type Address = string & { readonly [canonical]: true };

/** A network, `address/prefix length`, as in `exclude`. */
export interface Network {
  readonly text: string;
  readonly contains: (address: Address) => boolean;
}

/**
 * The canonical form of `text`; undefined if it is not an IP address. `010.1.1.1` and `0x7f.1` are
 * not.
 */
export function parseAddress(text: string): Address | undefined {
  const address = canonicalForm(text);
  // the only place where text becomes an Address
  // eslint-disable-next-line typescript/no-unsafe-type-assertion
  return address as Address | undefined;
}

function canonicalForm(text: string): string | undefined {
  const zone = text.indexOf("%");
  const bare = zone < 0 ? text : text.slice(0, zone);
  switch (isIP(bare)) {
    case 4:
      // an IPv4 address has no zone
      return zone < 0 ? bare : undefined;
    case 6:
      return zone === text.length - 1 ? undefined : canonicalIPv6(bare);
    default:
      return undefined;
  }
}

/** The address of 4 or 16 bytes; undefined for any other number of them. */
export function addressFromBytes(bytes: readonly number[]): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return parseAddress(ipaddr.fromByteArray([...bytes]).toString());
}

/** The 4 or 16 bytes of an address, in network order. */
export function bytesOf(address: Address): readonly number[] {
  // ipaddr.js would parse ::192.0.2.1 as ::ffff:192.0.2.1
  const hex = address.replace(/(?<=:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...quad: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = quad.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  return ipaddr.parse(hex).toByteArray();
}

/**
 * Postfix asks about a client at each recipient, and each time a new SocketAddress would burden the
 * garbage collector.
 */
const spelled = new Recent<string>(1_000);

function canonicalIPv6(text: string): string {
  const known = spelled.get(text);
  if (known !== undefined) return known;
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  const spelling = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address;
  spelled.set(text, spelling);
  return spelling;
}

/** A network from `192.0.2.0/24`, `2001:db8::/32` or a bare address; undefined for other text. */
export function parseNetwork(text: string): Network | undefined {
  const [base = "", length, ...rest] = text.split("/");
  const address = parseAddress(base);
  if (address === undefined || rest.length > 0) return undefined;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const range = ipaddr.parse(address);
  const bits = length === undefined ? range.toByteArray().length * 8 : Number(length);
  if (bits > range.toByteArray().length * 8) return undefined;
  return {
    text,
    contains: (candidate) => {
      const parsed = ipaddr.parse(candidate);
      return parsed.kind() === range.kind() && parsed.match(range, bits);
    },
  };
}
