import type { CompletedCommand, CompletedOption } from "./command-tree.ts";

/** /usr/share/fish/vendor_completions.d/popbsmtp.fish: see complete(1) of fish. */
export function fishCompletion(root: CompletedCommand): string {
  return [
    "# fish completion for popbsmtp(8)",
    "",
    "complete -c popbsmtp -f",
    ...root.options.map((option) => line("__fish_use_subcommand", optionWords(option))),
    "complete -c popbsmtp -n __fish_use_subcommand -F",
    ...root.commands.flatMap((command) => [
      line("__fish_use_subcommand", argumentWords(command.name, command.meaning)),
      ...below(command, `__fish_seen_subcommand_from ${command.name}`),
    ]),
    "",
  ].join("\n");
}

function below(command: CompletedCommand, typed: string): readonly string[] {
  const { commands, options, values, takesFile } = command;
  const names = commands.map(({ name }) => name);
  const here =
    names.length === 0 ? typed : `${typed}; and not __fish_seen_subcommand_from ${names.join(" ")}`;
  return [
    ...options.map((option) => line(here, optionWords(option))),
    ...values.map((value) => line(here, `-a ${value}`)),
    ...(takesFile ? [line(here, "-F")] : []),
    ...commands.flatMap((child) => [
      line(here, argumentWords(child.name, child.meaning)),
      ...below(child, `${typed}; and __fish_seen_subcommand_from ${child.name}`),
    ]),
  ];
}

function line(condition: string, words: string): string {
  return `complete -c popbsmtp -n ${quoted(condition)} ${words}`;
}

function argumentWords(name: string, meaning: string): string {
  return `-a ${name} -d ${quoted(meaning)}`;
}

function optionWords({ names, meaning, takesValue, values }: CompletedOption): string {
  const flags = names.map((name) =>
    name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const value = !takesValue
    ? []
    : values.length > 0
      ? [`-x -a ${quoted(values.join(" "))}`]
      : [names.includes("--config") ? "-r -F" : "-x"];
  return [...flags, ...value, `-d ${quoted(meaning)}`].join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
