import type { Command } from "commander";
import type { Area } from "../doctor/findings/finding.ts";
import { EX } from "../lib/errors.ts";
import type { Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

interface Options {
  readonly config?: string;
  readonly dovecotConfig?: string;
  readonly postfixConfig?: string;
}

export function doctorCommand(context: Context): Command {
  return new DocumentedCommand("doctor")
    .summary("check the whole installation and say what to change")
    .description(
      `Checks everything that has to be right for a login to open the relay, and says what to change: the configuration and who may read it, the spool, Node, the store, the daemon, and what Dovecot and Postfix are really configured to do. Run it as root.

A problem has to be solved; a warning is for you to judge. The command changes nothing, except that its trial of the store leaves a revocation of 192.0.2.0, an address that no host has; popbsmtp purge deletes it after a week.`,
    )
    .option(
      "--dovecot-config <file>",
      "the Dovecot configuration to check, as for doveconf -c (default: Dovecot's own)",
    )
    .option(
      "--postfix-config <directory>",
      "the Postfix configuration to check, as for postconf -c (default: Postfix's own)",
    )
    .exitStatus(EX.OK, "no problem, though perhaps warnings")
    .exitStatus(EX.TEMPFAIL, "the only problem is that the store cannot be reached")
    .exitStatus(EX.CONFIG, "there is another problem")
    .example("popbsmtp doctor", "popbsmtp doctor --postfix-config /etc/postfix-out")
    .action(async (_options: unknown, command: Command) => doctor(context, command));
}

async function doctor(context: Context, command: Command): Promise<number> {
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
    openStore: async (config, store, role) => {
      const { openOne } = await import("../writers/open-stores.ts");
      return openOne(config, store, role);
    },
  });
  for await (const area of examination) {
    areas.push(area);
    printArea(area, terminal);
  }
  terminal.print(summary(areas));
  return exitStatus(areas);
}
