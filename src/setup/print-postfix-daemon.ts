import { relative } from "node:path";
import { endpointName, type Endpoint, type ServeConfig } from "../config/config.ts";
import { whyUnguarded } from "../config/unguarded.ts";
import { ConfigError } from "../lib/errors.ts";

/** queue_directory, the root of a chrooted smtpd: postconf(5), master(5). */
const QUEUE = "/var/spool/postfix";

/**
 * The restriction that asks the daemon's policy service; undefined if the daemon has no endpoint
 * for it.
 */
export function policyRestriction({ policy }: Pick<ServeConfig, "policy">): string | undefined {
  const endpoint = best(policy);
  return endpoint && policyService(endpoint);
}

function policyService(endpoint: Endpoint): string {
  return `check_policy_service { ${address(endpoint)}, timeout=2s, default_action=DUNNO }`;
}

/** The lines of main.cf that make Postfix ask the daemon's policy service: SMTPD_POLICY_README. */
export function policyLines(serve: Pick<ServeConfig, "policy">): readonly string[] {
  const endpoint = best(serve.policy);
  if (endpoint === undefined) throw nowhere("policy");
  return [
    "# /etc/postfix/main.cf, for the daemon, popbsmtp serve: if you already set smtpd_relay_restrictions, insert the",
    "# check_policy_service after its permit_auth_destination and before its reject or defer.",
    "#",
    "# With default_action=DUNNO a failure of the daemon only means that it lets no client relay: Postfix carries on with its",
    "# other restrictions. Mail for your own domains never reaches this query.",
    ...(isReachable(endpoint) ? [] : chrootLines("policy")),
    ...unguardedLines("policy", endpoint),
    ...relayRestrictions(policyService(endpoint)),
  ];
}

/** The same for the socketmap: socketmap_table(5). */
export function socketmapLines({ socketmap }: Pick<ServeConfig, "socketmap">): readonly string[] {
  const endpoint = best(socketmap);
  if (endpoint === undefined) throw nowhere("socketmap");
  return [
    "# /etc/postfix/main.cf, for the daemon, popbsmtp serve, asked as a map. The policy service is faster, and while the daemon is",
    "# down the answer is 454 instead of 451: popbsmtp print postfix policy.",
    "#",
    "# permit_auth_destination comes before the map, so that mail for your own domains never causes a query. proxy: works if smtpd is",
    "# chrooted, as on Debian. proxy_read_maps contains $smtpd_relay_restrictions unless you have changed it. To query it by hand:",
    `#   postmap -q 192.0.2.1 socketmap:${address(endpoint)}:relay`,
    ...unguardedLines("socketmap", endpoint),
    ...relayRestrictions(`check_client_access proxy:socketmap:${address(endpoint)}:relay`),
  ];
}

function relayRestrictions(restriction: string): readonly string[] {
  return [
    "smtpd_relay_restrictions =",
    "    permit_mynetworks,",
    "    permit_sasl_authenticated,",
    "    permit_auth_destination,",
    `    ${restriction},`,
    "    defer_unauth_destination",
  ];
}

function chrootLines(key: string): readonly string[] {
  return [
    "#",
    `# A chrooted smtpd, Debian's default (postconf -F smtp/inet/chroot says y), sees ${QUEUE} only, not this`,
    `# socket. Either move it there, with ${key} = "${QUEUE}/popbsmtp/${key}" in the section [serve] of`,
    `# popbsmtp.toml, and print these lines again; or end the chroot: postconf -F smtp/inet/chroot=n, likewise for`,
    "# submission/inet and any other smtpd, then postfix reload.",
  ];
}

/**
 * Of several endpoints, preferably one that a chrooted smtpd can reach, and that no other local
 * user can take over.
 */
function best(endpoints: readonly Endpoint[]): Endpoint | undefined {
  const reachable = endpoints.filter(isReachable);
  const guarded = reachable.find((endpoint) => whyUnguarded(endpoint) === undefined);
  return guarded ?? reachable[0] ?? endpoints[0];
}

function unguardedLines(key: string, endpoint: Endpoint): readonly string[] {
  const why = whyUnguarded(endpoint);
  if (why === undefined) return [];
  return [
    "#",
    `# ${endpointName(endpoint)} is ${why}: while the daemon is not running, any local user can listen there and open the relay.`,
    `# Better, in the section [serve] of popbsmtp.toml: ${key} = "${QUEUE}/popbsmtp/${key}", or a port below 1024.`,
  ];
}

function isReachable(endpoint: Endpoint): boolean {
  return !("path" in endpoint) || endpoint.path.startsWith(`${QUEUE}/`);
}

/**
 * Postfix's programs run in the queue directory, so a path relative to it is right with and without
 * the chroot.
 */
function address(endpoint: Endpoint): string {
  if (!("path" in endpoint)) return `inet:${endpointName(endpoint)}`;
  const { path } = endpoint;
  return `unix:${isReachable(endpoint) ? relative(QUEUE, path) : path}`;
}

function nowhere(key: string): ConfigError {
  return new ConfigError([`serve.${key}: false: the daemon has no socket for it`]);
}
