import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { endpointName } from "../config/config.ts";
import { configOf, examples, openConfigured, type Context } from "./context.ts";

export function serveCommand(context: Context): Command {
  return new Command("serve")
    .summary("the daemon: logins without a process each, relay lookups")
    .description(
      "Answers Dovecot after each login and Postfix before each relay, drains the spool as soon as something is in it, and purges now and then. Runs in the foreground, under Dovecot's master, under systemd, or alone; print dovecot, print systemd and print postfix give the configuration for each. SIGHUP reads the configuration again, SIGTERM ends it.",
    )
    .option("--check", "only check the configuration, and say where it would listen")
    .addHelpText("after", examples("popbsmtp serve --check", "popbsmtp serve"))
    .action(async (options: { readonly check?: boolean }, command: Command) => {
      if (options.check === true) {
        const config = await configOf(command);
        const { imap, pop3, policy, socketmap, metrics, drac, relayCtrlUdp } = config.serve;
        const roles = { imap, pop3, policy, socketmap, metrics, drac };
        for (const [role, endpoints] of Object.entries({ ...roles, "relay-ctrl": relayCtrlUdp })) {
          for (const endpoint of [endpoints ?? []].flat()) {
            // DRAC's clients ask rpcbind for the port
            const where =
              "port" in endpoint && endpoint.port === 0
                ? `${endpoint.host}, any port`
                : endpointName(endpoint);
            context.terminal.print(`${role} ${where}`);
          }
        }
        return;
      }
      const { serve } = await import("../daemon/serve.ts");
      const { loadConfig } = await import("../config/load.ts");
      const { config: path } = command.optsWithGlobals<{ config?: string }>();
      await serve({
        version: manifest.version,
        load: () => loadConfig(path),
        openStore: (wanted, role) => openConfigured(wanted, { role, hurry: true }),
        now: context.now,
      });
    });
}
