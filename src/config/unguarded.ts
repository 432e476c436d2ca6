/** Places that any local user can listen at while the daemon does not, to answer in its stead. */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Endpoint } from "./config.ts";

/** Why anybody on this host could take a place: a few words, such as "a port above 1023"; undefined: nobody can. */
export function whyUnguarded(endpoint: Endpoint): string | undefined {
  if ("path" in endpoint) {
    const directory = dirname(endpoint.path);
    return isWritableByAll(directory) ? `in ${directory}, where everybody may write` : undefined;
  }
  const first = firstUnprivilegedPort();
  return endpoint.port < first ? undefined : `a port above ${String(first - 1)}`;
}

function isWritableByAll(directory: string): boolean {
  try {
    return (statSync(directory).mode & 0o002) !== 0;
  } catch {
    // the daemon makes it, or this process may not look
    return false;
  }
}

/** ip(7): ip_unprivileged_port_start. 1024 unless the administrator says otherwise. */
function firstUnprivilegedPort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  } catch {
    return 1024;
  }
}
