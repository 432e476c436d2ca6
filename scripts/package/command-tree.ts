/** The command line as completions need it: names, meanings and values. */
import type { Command } from "commander";
import { createProgram, WRAPPER_OPTIONS } from "../../src/cli.ts";

export interface CompletedOption {
  /** Such as --config. */
  readonly names: readonly string[];
  readonly meaning: string;
  readonly takesValue: boolean;
  /** The possible values; empty: any. */
  readonly values: readonly string[];
}

export interface CompletedCommand {
  readonly name: string;
  readonly meaning: string;
  readonly options: readonly CompletedOption[];
  /** The possible values of its first argument; empty: any. */
  readonly values: readonly string[];
  /** Whether its first argument is a file. */
  readonly takesFile: boolean;
  readonly commands: readonly CompletedCommand[];
}

/** popbsmtp itself, with its commands. Its options include those of the wrapper. */
export function commandTree(): CompletedCommand {
  const root = completed(
    createProgram({
      terminal: {
        print: () => undefined,
        note: () => undefined,
        progress: () => undefined,
        interactive: false,
        color: false,
      },
      now: () => 0,
    }),
  );
  const wrapper = WRAPPER_OPTIONS.flatMap(([term, meaning]) => {
    const [name = term, value] = term.split(" ");
    return root.options.some(({ names }) => names.includes(name))
      ? []
      : [{ names: [name], meaning, takesValue: value !== undefined, values: [] }];
  });
  return { ...root, options: [...root.options, ...wrapper], takesFile: true };
}

function completed(command: Command): CompletedCommand {
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  const takesFile = /^(?:file|program)$/.test(argument?.name() ?? "");
  return {
    name: command.name(),
    meaning: firstSentence(command.summary() || command.description()),
    options: help.visibleOptions(command).map((option) => ({
      names: [option.short, option.long].filter((name) => name !== undefined),
      meaning: firstSentence(option.description),
      takesValue: option.required || option.optional,
      values: option.argChoices ?? [],
    })),
    values: argument?.argChoices ?? [],
    takesFile,
    commands: help
      .visibleCommands(command)
      .map((each) =>
        each.name() === "help"
          ? { ...completed(each), values: help.visibleCommands(command).map((one) => one.name()) }
          : completed(each),
      ),
  };
}

function firstSentence(text: string): string {
  const [line = ""] = text.split("\n");
  return line.replace(/\.(?: .*)?$/, "");
}
