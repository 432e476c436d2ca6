import { realpathSync } from "node:fs";
import { Argument, Command } from "commander";
import { DEFAULT_CONFIG_PATH, type Config } from "../config/config.ts";
import { configOf, examples, type Context } from "./context.ts";
import { cronLines } from "./print-cron.ts";
import { dovecot1Lines, dovecot2Lines } from "./print-dovecot.ts";
import { mainLines, mapLines } from "./print-postfix.ts";

export function printCommand(context: Context): Command {
  return new Command("print")
    .summary("print configuration for Dovecot, Postfix or cron")
    .description("Prints configuration to paste, made from this configuration.")
    .addCommand(dovecotCommand(context))
    .addCommand(postfixCommand(context))
    .addCommand(cronCommand(context));
}

function dovecotCommand({ terminal }: Context): Command {
  return new Command("dovecot")
    .description("Prints what makes Dovecot run popbsmtp after each login.")
    .addArgument(
      new Argument("[version]", "of Dovecot; default: 2, and 1 as a comment").choices(["1", "2"]),
    )
    .addHelpText(
      "after",
      examples("popbsmtp print dovecot 2 > /etc/dovecot/conf.d/99-popbsmtp.conf"),
    )
    .action(async (version: "1" | "2" | undefined, _options: unknown, command: Command) => {
      const config = await configOf(command);
      const program = commandLine(config);
      const one = dovecot1Lines(program);
      const two = dovecot2Lines(program, config.user);
      if (version === "1") print(terminal, one);
      else if (version === "2") print(terminal, two);
      else print(terminal, [...two, "", ...one.map(commented)]);
    });
}

function postfixCommand({ terminal }: Context): Command {
  return new Command("postfix")
    .description(
      "Prints the map file that Postfix asks, and the lines of main.cf that make it ask.",
    )
    .addArgument(new Argument("[part]", "only one of the two").choices(["map", "main"]))
    .addHelpText(
      "after",
      examples(
        "popbsmtp print postfix",
        "(umask 077; popbsmtp print postfix map > /etc/postfix/popbsmtp.cf)",
        "chgrp postfix /etc/postfix/popbsmtp.cf; chmod 640 /etc/postfix/popbsmtp.cf",
      ),
    )
    .action(async (part: "map" | "main" | undefined, _options: unknown, command: Command) => {
      const { store, lifetime } = await configOf(command);
      const { postfixQuery } = await import("../stores/open.ts");
      const map = mapLines(store, postfixQuery(store, lifetime));
      const main = mainLines(store.driver);
      if (part === "map") print(terminal, map);
      else if (part === "main") print(terminal, main);
      else print(terminal, [...map, "", ...main]);
    });
}

function cronCommand({ terminal }: Context): Command {
  return new Command("cron")
    .description("Prints a file for /etc/cron.d that purges every hour.")
    .addHelpText("after", examples("popbsmtp print cron > /etc/cron.d/popbsmtp"))
    .action(async (_options: unknown, command: Command) => {
      const config = await configOf(command);
      print(terminal, cronLines(commandLine(config)));
    });
}

function commented(line: string): string {
  return line.startsWith("#") ? line : `# ${line}`;
}

function print(terminal: Context["terminal"], lines: readonly string[]): void {
  for (const line of lines) terminal.print(line);
}

/** How to start this program with this configuration. */
function commandLine({ path }: Config): readonly string[] {
  const program = realpathSync(process.argv[1] ?? "");
  return path === undefined || path === DEFAULT_CONFIG_PATH
    ? [program]
    : [program, "--config", path];
}
