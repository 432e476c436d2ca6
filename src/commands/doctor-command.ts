import { Command } from "commander";
import type { Area } from "../doctor/findings/finding.ts";
import { examples, openConfigured, type Context } from "./context.ts";

interface Options {
  readonly config?: string;
  readonly dovecotConfig?: string;
  readonly postfixConfig?: string;
}

export function doctorCommand(context: Context): Command {
  return new Command("doctor")
    .summary("check everything, say what to change")
    .description(
      "Checks everything that has to be right for a login to open the relay, and says what to change: the configuration and who may read it, the spool, Node, what Dovecot and Postfix are really configured to do, the store. It changes nothing, but its trial of the store leaves a revocation of 192.0.2.0, an address that nobody has; purge deletes it after a week. Run it as root. A warning is for you to judge; a problem is not.",
    )
    .option("--dovecot-config <file>", "another Dovecot's configuration (doveconf -c)")
    .option("--postfix-config <directory>", "another Postfix's configuration (postconf -c)")
    .addHelpText(
      "after",
      `\nExit status: 0 without a problem; 75 where the store cannot be reached, and that is all; else 78.\n${examples("popbsmtp doctor", "popbsmtp doctor --postfix-config /etc/postfix-out")}`,
    )
    .action(async (_options: unknown, command: Command) => doctor(context, command));
}

async function doctor(context: Context, command: Command): Promise<void> {
  const { terminal, now } = context;
  const options = command.optsWithGlobals<Options>();
  const { examine } = await import("../doctor/examine.ts");
  const { exitStatus, printArea, summary } = await import("../doctor/findings/finding.ts");
  const areas: Area[] = [];
  const examination = examine({
    configPath: options.config,
    program: process.argv[1] ?? "",
    dovecotConfig: options.dovecotConfig,
    postfixConfig: options.postfixConfig,
    now,
    openStore: (config, role) => openConfigured(config, { role }),
  });
  for await (const area of examination) {
    areas.push(area);
    printArea(area, terminal);
  }
  terminal.print(summary(areas));
  context.exitStatus = exitStatus(areas);
}
