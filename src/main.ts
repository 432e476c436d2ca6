/** Maps a command line to an exit status. Only this file sets process.exitCode. */
import { CommanderError } from "commander";
import { runCommandLine } from "./cli.ts";
import type { Context } from "./commands/context.ts";
import { ConfigError, EX, PopbsmtpError, reasonOf } from "./lib/errors.ts";
import { printable, processTerminal } from "./lib/terminal.ts";

async function run(argv: readonly string[]): Promise<number> {
  const context: Context = { terminal: processTerminal(), now: Date.now };
  try {
    return await runCommandLine(context, argv);
  } catch (error) {
    // commander has reported it already
    if (error instanceof CommanderError) return error.exitCode === 0 ? EX.OK : EX.USAGE;
    for (const line of describe(error)) context.terminal.note(`popbsmtp: ${printable(line)}`);
    if (process.env["POPBSMTP_DEBUG"]) console.error(error);
    return error instanceof PopbsmtpError ? error.exitStatus : EX.SOFTWARE;
  }
}

function describe(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  if (error instanceof PopbsmtpError) return [error.message];
  return [
    `internal error: ${reasonOf(error)}`,
    "this is a bug: please report it with the output of the same command with POPBSMTP_DEBUG=1 in the environment",
  ];
}

// `popbsmtp list | head -1` has read enough; any other failure means that output is missing
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  console.error(`popbsmtp: standard output: ${error.message}`);
  process.exitCode = EX.CANTCREAT;
});

async function main(): Promise<void> {
  const status = await run(process.argv.slice(2));
  process.exitCode ??= status;
}

void main();
