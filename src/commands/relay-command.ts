/**
 * `popbsmtp relay`: the launcher executes the SMTP server, which Node cannot do. This part explains
 * the command, and looks up an address where bash cannot: at Unix sockets, and in the store.
 */
import { Option, type Command } from "commander";
import type { Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import { ConfigError, PopbsmtpError, UsageError } from "../lib/errors.ts";
import { addressArgument, enter, openConfigured, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

/** The answer for the launcher: OK, NO, or the reason why it is unknown. */
type RelayAnswer = string;

export function relayCommand(context: Context): Command {
  return new DocumentedCommand("relay")
    .summary("run an SMTP server with RELAYCLIENT set if its client may relay")
    .usage("[--relayclient VALUE] [--wait MS] PROGRAM [ARG]...")
    .description(
      `Replaces itself with PROGRAM, an SMTP server such as qmail-smtpd, and sets RELAYCLIENT in its environment if the client, whose address is in TCPREMOTEIP, may relay. It takes the place of relay-ctrl-check.

If RELAYCLIENT is set already, nothing is looked up. If no answer comes in time, RELAYCLIENT is not set and standard error says why.`,
    )
    .argument("[program...]", "the program to run, and its arguments")
    .option(
      "--relayclient <value>",
      "the value of RELAYCLIENT (default: that of RELAY_CTRL_RELAYCLIENT, else empty)",
    )
    .option(
      "--wait <ms>",
      "how long to wait for an answer, in milliseconds, 1 to 9999 (default: 1000)",
    )
    .addOption(new Option("--ask <address>").hideHelp())
    .allowUnknownOption()
    .example("tcpserver 0 25 popbsmtp relay /var/qmail/bin/qmail-smtpd")
    .action(async (_program: unknown, options: { readonly ask?: string }, command: Command) => {
      const { ask } = options;
      if (ask === undefined) throw new UsageError("relay: name the program to run");
      // a NUL at the end, since a reason may contain any other character
      context.terminal.print(`${await verdict(ask, command)}\0`);
    });
}

async function verdict(text: string, command: Command): Promise<RelayAnswer> {
  try {
    const address = addressArgument(text);
    const config = await enter(command);
    const { askDaemon } = await import("./daemon-answer.ts");
    const said = await askDaemon(config.serve, address);
    if (said?.answer === "away") return said.why;
    if (said !== undefined) return said.answer === "authorized" ? "OK" : "NO";
    // the daemon would say so, whatever the store has
    const isExcluded = config.exclude.some(({ contains }) => contains(address));
    return isExcluded ? "NO" : await askStore(config, address);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join("; ");
    if (error instanceof PopbsmtpError) return error.message;
    throw error;
  }
}

async function askStore(config: Config, address: Address): Promise<RelayAnswer> {
  const store = await openConfigured(config, { hurry: true });
  try {
    return (await store.lookup(address)) === undefined ? "NO" : "OK";
  } finally {
    await store.close();
  }
}
