import type { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { endpointName } from "../config/config.ts";
import { EX } from "../lib/errors.ts";
import { printable } from "../lib/terminal.ts";
import { configOf, openConfigured, openConfiguredWriters, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

export function serveCommand(context: Context): Command {
  return new DocumentedCommand("serve")
    .summary("run the daemon: record logins, answer mail servers")
    .description(
      `Runs the daemon. It records the logins that Dovecot reports, answers the mail servers that ask whether a client may relay, drains the spool, and purges expired authorizations.

It stays in the foreground and logs to standard error. Dovecot's master process, systemd or an administrator starts it; popbsmtp print prints the configuration for each. SIGHUP makes it read its configuration again, SIGTERM ends it.`,
    )
    .option(
      "--check",
      "start nothing: print where the daemon would listen, and what would keep it from working; a running daemon is not disturbed",
    )
    .exitStatus(EX.OK, "with --check: nothing would keep the daemon from working")
    .exitStatus(EX.CANTCREAT, "a socket, a port or the spool cannot be used")
    .exitStatus(
      EX.TEMPFAIL,
      "with --check: only the store cannot be reached, and the daemon would start",
    )
    .exitStatus(EX.CONFIG, "the configuration is wrong")
    .example("popbsmtp serve --check", "popbsmtp serve")
    .action(async (options: { readonly check?: boolean }, command: Command) => {
      if (options.check === true) return check(context, command);
      const { serve } = await import("../daemon/serve.ts");
      const { loadConfig } = await import("../config/reading/load.ts");
      const { config: path } = command.optsWithGlobals<{ config?: string }>();
      await serve({
        version: manifest.version,
        load: () => loadConfig(path),
        open: { writers: openConfiguredWriters, stores: openConfigured },
        now: context.now,
      });
      // a connection to a hanging store would delay the exit of this process, and so its successor
      process.exit();
    });
}

/** Returns the exit status. */
async function check({ terminal }: Context, command: Command): Promise<number> {
  const config = await configOf(command);
  const { placesOf, startProblems } = await import("../daemon/check.ts");
  for (const { key, endpoint } of placesOf(config)) {
    // DRAC clients ask rpcbind for the port
    const where =
      "port" in endpoint && endpoint.port === 0
        ? `${endpoint.host}, any port`
        : endpointName(endpoint);
    terminal.print(`${key === "relay-ctrl-udp" ? "relay-ctrl" : key} ${where}`);
  }
  const problems = await startProblems(config, (wanted) =>
    openConfigured(wanted, { role: "writer", hurry: true }),
  );
  for (const { message } of problems) terminal.note(`popbsmtp: ${printable(message)}`);
  const [first] = problems;
  if (first === undefined) {
    terminal.print("ok");
    return EX.OK;
  }
  // the daemon starts even if a store is away
  const worst = problems.find(({ exitStatus }) => exitStatus !== EX.TEMPFAIL) ?? first;
  return worst.exitStatus;
}
