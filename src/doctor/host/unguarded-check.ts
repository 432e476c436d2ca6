/**
 * Sockets of [serve] that a local user could take over while the daemon is down, to answer OK to
 * Postfix.
 */
import { endpointName, type Config } from "../../config/config.ts";
import { whyUnguarded } from "../../config/unguarded.ts";
import { warning, type Finding } from "../findings/finding.ts";
import { popbsmtp } from "../findings/words.ts";

/** A directory that Postfix can reach, chrooted or not. It belongs to `user`. */
const GUARDED = "/var/spool/postfix/popbsmtp";

export function unguardedFindings(config: Config): readonly Finding[] {
  const { serve } = config;
  return (["policy", "socketmap"] as const).flatMap((key) =>
    serve[key].flatMap((endpoint) => {
      const why = whyUnguarded(endpoint);
      if (why === undefined) return [];
      return [
        warning(
          `serve.${key}: ${endpointName(endpoint)} is ${why}: any local user can listen there while popbsmtp serve does not, and open the relay`,
          `${key} = "${GUARDED}/${key}"    # in [serve], or a port below 1024; then restart popbsmtp serve`,
          `${popbsmtp(config)} print postfix ${key}    # the lines of main.cf that ask it there`,
        ),
      ];
    }),
  );
}
