/** Who may tell of logins over the network. There is nothing to go by but where a datagram or a connection comes from. */
import { networkInterfaces } from "node:os";
import type { Address } from "../address.ts";

/**
 * Whether what comes from an address comes from this host: from loopback, or one of its IPv4 addresses, since Linux lets nothing in
 * from outside that claims to be. Of IPv6 that holds for loopback only.
 */
export function isThisHost(address: Address): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some((own) => own.family === "IPv4" && own.address === address);
}
