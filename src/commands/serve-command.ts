import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { endpointName } from "../config/config.ts";
import { EX } from "../lib/errors.ts";
import { printable } from "../lib/terminal.ts";
import { configOf, examples, openConfigured, type Context } from "./context.ts";

export function serveCommand(context: Context): Command {
  return new Command("serve")
    .summary("the daemon: logins without a process each, relay lookups")
    .description(
      "Records the logins that Dovecot reports, answers Postfix before each relay, drains the spool as soon as something is in it, and purges now and then. Runs in the foreground, under Dovecot's master, under systemd, or alone; print dovecot, print systemd and print postfix give the configuration for each. SIGHUP reads the configuration again, SIGTERM ends it.",
    )
    .option(
      "--check",
      "only say where it would listen and what would keep it from working; a daemon at work is not disturbed",
    )
    .addHelpText(
      "after",
      `\nExit status of --check: 0 and "ok" where nothing would; 75 where the store cannot be reached, and that is all.\n${examples("popbsmtp serve --check", "popbsmtp serve")}`,
    )
    .action(async (options: { readonly check?: boolean }, command: Command) => {
      if (options.check === true) return check(context, command);
      const { serve } = await import("../daemon/serve.ts");
      const { loadConfig } = await import("../config/reading/load.ts");
      const { config: path } = command.optsWithGlobals<{ config?: string }>();
      await serve({
        version: manifest.version,
        load: () => loadConfig(path),
        openStore: (wanted, role) => openConfigured(wanted, { role, hurry: true }),
        now: context.now,
      });
      // a connection to a store that hangs would keep the process, and its successor, waiting
      process.exit();
    });
}

async function check(context: Context, command: Command): Promise<void> {
  const { terminal } = context;
  const config = await configOf(command);
  const { placesOf, startProblems } = await import("../daemon/check.ts");
  for (const { key, endpoint } of placesOf(config)) {
    // DRAC's clients ask rpcbind for the port
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
  if (first === undefined) terminal.print("ok");
  // a store that is away keeps no daemon from starting
  else
    context.exitStatus =
      problems.find(({ exitStatus }) => exitStatus !== EX.TEMPFAIL)?.exitStatus ?? first.exitStatus;
}
