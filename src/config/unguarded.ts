/**
 * Endpoints that any local user can take over while the daemon is down, and so answer in its place.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Endpoint } from "./config.ts";

/**
 * Why any local user could take an endpoint over, in a few words such as "a port above 1023";
 * undefined if none can.
 */
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
    // the daemon creates the directory, or this process may not search it
    return false;
  }
}

/** ip_unprivileged_port_start of ip(7): 1024 unless the administrator has changed it. */
function firstUnprivilegedPort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  } catch {
    return 1024;
  }
}
