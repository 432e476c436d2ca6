/** Who may tell of logins over the network. There is nothing to go by but where a datagram or a connection comes from. */
import { networkInterfaces } from "node:os";
import type { Address } from "../../login/address.ts";

/** How long this host's addresses are remembered: asking the kernel for each datagram of a flood would be most of the work. Milliseconds. */
const REMEMBER_MS = 1_000;

let remembered: ReadonlySet<string> | undefined;

/**
 * Whether what comes from an address comes from this host: from loopback, or one of its IPv4 addresses, since Linux lets nothing in
 * from outside that claims to be. Of IPv6 that holds for loopback only.
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
    // no descriptor left to ask with
    return new Set();
  }
}
