/** The units of the package: those of `popbsmtp print systemd` for the defaults. */
import { readFileSync } from "node:fs";
import { loadConfig } from "../../src/config/reading/load.ts";
import type { Config } from "../../src/config/config.ts";
import { purgeUnit, serviceUnit, socketUnit } from "../../src/setup/print-systemd.ts";

/** The program where the package installs it, which print systemd names. */
const PROGRAM = ["/usr/lib/popbsmtp/popbsmtp"];

/** What needs no key of popbsmtp.toml. */
const SOCKETS = ["dict", "imap", "pop3", "policy", "socketmap"] as const;

/** Where Debian's Postfix, whose smtpd is chrooted, can reach the policy service. */
const POLICY_IN_QUEUE = { path: "/var/spool/postfix/popbsmtp/policy" };

/** The contents of each unit, by its name. */
export async function units(): Promise<ReadonlyMap<string, string>> {
  const config: Config = { ...(await loadConfig("examples/popbsmtp.toml")), path: undefined };
  const policy = [config.serve.policy ?? [], POLICY_IN_QUEUE].flat();
  const serve = { ...config.serve, policy };
  return new Map([
    ["popbsmtp.service", unit(serviceUnit({ ...config, serve }, PROGRAM))],
    ["popbsmtp-purge.service", unit(purgeUnit(config, PROGRAM))],
    ["popbsmtp-purge.timer", readFileSync("packaging/popbsmtp/purge.timer", "utf8")],
    ...SOCKETS.map((name) => [`popbsmtp-${name}.socket`, unit(socketUnit(serve, name))] as const),
  ]);
}

/** The first line names the file of an administrator. */
function unit([, ...lines]: readonly string[]): string {
  return lines
    .flatMap((line) => (line === "[Unit]" ? [line, "Documentation=man:popbsmtp(8)"] : [line]))
    .concat("")
    .join("\n");
}
