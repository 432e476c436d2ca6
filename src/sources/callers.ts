/** Who may tell of logins over the network. There is nothing to go by but where a datagram or a connection comes from. */
import { networkInterfaces } from "node:os";
import type { Address } from "../address.ts";

/** Whether an address is this host's own. The kernel lets nothing in that claims so and comes from outside. */
export function isThisHost(address: Address): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some((own) => own.address === address);
}
