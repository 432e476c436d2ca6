/**
 * Which hosts may report logins over the network, by the source address of a datagram or a
 * connection.
 */
import { networkInterfaces } from "node:os";
import type { Address } from "../../login/address.ts";

/**
 * How long to remember this host's addresses, in milliseconds. Asking the kernel for each datagram
 * of a flood would be most of the work.
 */
const REMEMBER_MS = 1_000;

let remembered: ReadonlySet<string> | undefined;

/**
 * Whether an address is this host's: loopback, or one of its IPv4 addresses, since Linux drops
 * packets from outside that claim to come from them. For IPv6, loopback only.
 */
export function isThisHost(address: Address): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  remembered ??= askKernel();
  return remembered.has(address);
}

function askKernel(): ReadonlySet<string> {
  setTimeout(() => (remembered = undefined), REMEMBER_MS).unref();
  try {
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    return new Set(own.filter(({ family }) => family === "IPv4").map(({ address }) => address));
  } catch {
    // no descriptor is left to ask with
    return new Set();
  }
}
