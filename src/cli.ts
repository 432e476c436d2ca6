/**
 * The command line, without side effects: main.ts runs it.
 *
 * A command is a file in commands/ that exports `xxxCommand(context: Context): Command` and, apart from it, the function that does
 * the work, given everything it needs. At a login a drain has 30 ms to start, so what is heavy (TOML, valibot, the stores and
 * their drivers) is imported in the command's action; commands/context.ts does it for most.
 */
import { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import { allowCommand } from "./commands/allow-command.ts";
import { checkCommand } from "./commands/check-command.ts";
import type { Context } from "./commands/context.ts";
import { doctorCommand } from "./commands/doctor-command.ts";
import { drainCommand } from "./commands/drain-command.ts";
import { listCommand } from "./commands/list-command.ts";
import { printCommand } from "./commands/print-command.ts";
import { purgeCommand } from "./commands/purge-command.ts";
import { relayCommand } from "./commands/relay-command.ts";
import { revokeCommand } from "./commands/revoke-command.ts";
import { schemaCommand } from "./commands/schema-command.ts";
import { serveCommand } from "./commands/serve-command.ts";
import { watchCommand } from "./commands/watch-command.ts";
import { DEFAULT_CONFIG_PATH } from "./config/config.ts";
import { UsageError } from "./lib/errors.ts";

const WRAPPER = `
As a wrapper, popbsmtp records the login that its environment tells of and
becomes PROGRAM: the first argument with a "/" in it, or what follows "--".
Nothing that goes wrong with the recording keeps PROGRAM from running.
  --wait MS       wait at most so long until the login is in the store
                  (default: 200)
  --no-wait       do not wait
  --no-drain      start no drain: the daemon, or popbsmtp drain, does it
  --service S     what kind of login it is (default: PROGRAM's name, as "imap")
  --export NAME   set the variable NAME to the client's address, written plainly
Example:
  popbsmtp /usr/lib/dovecot/imap`;

const EPILOGUE = `
Exit status, as in sysexits.h:
  0   done; for check: may relay      73  cannot create a file
  1   no: may not relay, none found   75  the store cannot be reached: try later
  64  usage                           77  permission denied
  65  no address                      78  the configuration is wrong
  70  a bug in popbsmtp

Files:
  ${DEFAULT_CONFIG_PATH}     the configuration
  /var/spool/popbsmtp             logins that are not in the store yet
  /var/lib/popbsmtp/popbsmtp.db   the store, where no other is configured`;

/** The program: parse() it, and look at `context.exitStatus`. Throws CommanderError where the command line is wrong, or was --help. */
export function createProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command("popbsmtp")
    .usage("[OPTION]... PROGRAM [ARG]...\n       popbsmtp [--config FILE] COMMAND")
    .description(
      "POP-before-SMTP: whoever has just read mail from an address may send mail from it.",
    )
    .option("--config <file>", `the configuration (default: ${DEFAULT_CONFIG_PATH})`)
    .version(manifest.version, "-V, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show a command's help")
    .addHelpText("after", WRAPPER)
    .addHelpText("after", EPILOGUE)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, "popbsmtp: ")),
    })
    .exitOverride()
    .addCommand(drainCommand(context))
    .addCommand(serveCommand(context))
    .addCommand(relayCommand(context))
    .addCommand(watchCommand(context))
    .addCommand(purgeCommand(context))
    .addCommand(schemaCommand(context))
    .addCommand(listCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(allowCommand(context))
    .addCommand(revokeCommand(context))
    .addCommand(printCommand(context))
    .addCommand(doctorCommand(context));
  inherit(program);
  return program;
}

/** The wrapper's options; those with a value are in front. */
const WRAPPER_OPTIONS = ["--config", "--wait", "--service", "--export", "--no-wait", "--no-drain"];
const WITH_VALUE = WRAPPER_OPTIONS.slice(0, 4);

/**
 * Refuses a command line of options alone. The bash half has found no program on it, and commander would print all its help.
 *
 * @throws UsageError
 */
export function assertNamesSomething(program: Command, argv: readonly string[]): void {
  const words = [...argv];
  let last: string | undefined;
  for (let word = words[0] ?? ""; word.startsWith("--"); word = words[0] ?? "") {
    if (!WRAPPER_OPTIONS.includes(word.replace(/=.*/s, ""))) return;
    words.shift();
    if (WITH_VALUE.includes(word)) last = words.shift();
  }
  // without its value, an option is commander's to complain about
  if (argv.length === 0 || words.length > 0 || argv.at(-1) === "--config") return;
  if (program.commands.some((command) => command.name() === last)) {
    throw new UsageError(`${argv.at(-2)} ${last}: the option's value is missing before ${last}`);
  }
  throw new UsageError("name the program to become, or a command; see popbsmtp --help");
}

/** commander hands these settings down only to commands it has made itself. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent);
    inherit(command);
  }
}
