/**
 * The command line, without side effects: main.ts runs it.
 *
 * A command is a file in commands/ that exports `xxxCommand(context: Context): Command` and,
 * separately, the function that does the work, with everything it needs as parameters. At a login,
 * a drain has 30 ms to start, so the action of a command imports heavy modules (TOML, valibot, the
 * stores and their drivers); commands/context.ts does so for most.
 */
import { Command, type Help } from "commander";
import manifest from "../package.json" with { type: "json" };
import { allowCommand } from "./commands/allow-command.ts";
import { checkCommand } from "./commands/check-command.ts";
import type { Context } from "./commands/context.ts";
import { DocumentedCommand, helpSection, type HelpItem } from "./commands/documented-command.ts";
import { doctorCommand } from "./commands/doctor-command.ts";
import { drainCommand } from "./commands/drain-command.ts";
import { listCommand } from "./commands/list-command.ts";
import { printCommand } from "./commands/print-command.ts";
import { purgeCommand } from "./commands/purge-command.ts";
import { relayCommand } from "./commands/relay-command.ts";
import { revokeCommand } from "./commands/revoke-command.ts";
import { setupCommand } from "./commands/setup-command.ts";
import { schemaCommand } from "./commands/schema-command.ts";
import { serveCommand } from "./commands/serve-command.ts";
import { watchCommand } from "./commands/watch-command.ts";
import { DEFAULT_CONFIG_PATH } from "./config/config.ts";
import { EX, UsageError } from "./lib/errors.ts";

/** The wrapper's options, which the launcher parses; those with a value come first. */
export const WRAPPER_OPTIONS: readonly HelpItem[] = [
  ["--config FILE", `the configuration (default: ${DEFAULT_CONFIG_PATH})`],
  [
    "--wait MS",
    "how long to wait until the login is in the store, in milliseconds, 0 to 9999 (default: 200)",
  ],
  ["--service S", "the service to record (default: the name of PROGRAM, such as imap)"],
  [
    "--export NAME",
    "set the variable NAME to the client's address, in its plain spelling (default: none)",
  ],
  ["--no-wait", "do not wait: the same as --wait 0"],
  ["--no-drain", "never start a drain: leave that to the daemon or to popbsmtp drain"],
];

/** The meanings of the exit statuses. */
export const EXIT_STATUSES: Readonly<Record<(typeof EX)[keyof typeof EX], string>> = {
  [EX.OK]: "success; for check: the address may relay",
  [EX.NO]: "a negative answer: the address may not relay, or there was nothing to revoke",
  [EX.USAGE]: "the command line is wrong",
  [EX.DATAERR]: "not an IP address, or the store rejects what was to be recorded",
  [EX.SOFTWARE]: "a bug in popbsmtp",
  [EX.CANTCREAT]: "a file cannot be created or written",
  [EX.TEMPFAIL]: "the store cannot be reached: try again later",
  [EX.NOPERM]: "permission denied",
  [EX.CONFIG]: "the configuration is wrong, or Node is missing or too old",
};

const FILES: readonly HelpItem[] = [
  [DEFAULT_CONFIG_PATH, "the configuration"],
  ["/var/spool/popbsmtp", "logins that are not in the store yet"],
  ["/var/lib/popbsmtp/popbsmtp.db", "the store, unless another is configured"],
];

/** The text after the commands in `popbsmtp --help`. */
function ending(help: Help): string {
  return [
    ...helpSection(
      help,
      "Options of the wrapper, before PROGRAM:",
      WRAPPER_OPTIONS.filter(([term]) => !term.startsWith("--config")),
    ),
    ...helpSection(help, "Exit status, as in sysexits.h:", Object.entries(EXIT_STATUSES)),
    ...helpSection(help, "Files:", FILES),
    "",
    "Examples:",
    "  popbsmtp /usr/lib/dovecot/imap",
    "  popbsmtp serve",
    "  popbsmtp list",
    "",
    "See also popbsmtp(8) and popbsmtp.toml(5), and popbsmtp COMMAND --help.",
  ].join("\n");
}

/**
 * Runs a command line, and returns its exit status.
 *
 * @throws CommanderError if the command line is wrong, or contains --help
 */
export async function runCommandLine(context: Context, argv: readonly string[]): Promise<number> {
  const program = createProgram(context);
  let status: number = EX.OK;
  program.hook("postAction", (_program, command) => {
    if (command instanceof DocumentedCommand) ({ status } = command);
  });
  assertNamesSomething(program, argv);
  await program.parseAsync(argv, { from: "user" });
  return status;
}

export function createProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command("popbsmtp")
    .usage("[OPTION]... PROGRAM [ARG]...\n       popbsmtp [--config FILE] COMMAND")
    .description(
      `POP-before-SMTP: whoever has just read mail from an address may send mail from it.

With a PROGRAM, which is the first argument that contains a "/" or what follows "--", popbsmtp is a wrapper: it records the login that its environment describes and replaces itself with PROGRAM, whether or not that worked.`,
    )
    .option("--config <file>", `the configuration (default: ${DEFAULT_CONFIG_PATH})`)
    .version(manifest.version, "-V, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .addHelpText("after", ({ command }) => ending(command.createHelp()))
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, "popbsmtp: ")),
    })
    .exitOverride()
    .commandsGroup("Record logins:")
    .addCommand(serveCommand(context))
    .addCommand(watchCommand(context))
    .addCommand(drainCommand(context))
    .commandsGroup("See and change who may relay:")
    .addCommand(listCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(allowCommand(context))
    .addCommand(revokeCommand(context))
    .addCommand(purgeCommand(context))
    .commandsGroup("Set up and check:")
    .addCommand(setupCommand(context))
    .addCommand(schemaCommand(context))
    .addCommand(printCommand(context))
    .addCommand(doctorCommand(context))
    .commandsGroup("Other:")
    .addCommand(relayCommand(context))
    .helpCommand("help [command]", "show a command's help");
  inherit(program);
  return program;
}

const WRAPPER_FLAGS = WRAPPER_OPTIONS.map(([term]) => term.replace(/ .*/, ""));
const WITH_VALUE = WRAPPER_FLAGS.slice(0, 4);

/**
 * Rejects a command line of options alone, in which the launcher has found no program. commander
 * would print the whole help.
 *
 * @throws UsageError
 */
export function assertNamesSomething(program: Command, argv: readonly string[]): void {
  const words = [...argv];
  let last: string | undefined;
  for (let word = words[0] ?? ""; word.startsWith("--"); word = words[0] ?? "") {
    if (!WRAPPER_FLAGS.includes(word.replace(/=.*/s, ""))) return;
    words.shift();
    if (WITH_VALUE.includes(word)) last = words.shift();
  }
  // commander itself reports an option without its value
  if (argv.length === 0 || words.length > 0 || argv.at(-1) === "--config") return;
  if (program.commands.some((command) => command.name() === last)) {
    throw new UsageError(`${argv.at(-2)} ${last}: the option's value is missing before ${last}`);
  }
  throw new UsageError("name a program to run, or a command; see popbsmtp --help");
}

/** commander passes these settings only to commands that it has created itself. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent);
    inherit(command);
  }
}
