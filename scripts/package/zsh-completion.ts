import type { CompletedCommand, CompletedOption } from "./command-tree.ts";

/** /usr/share/zsh/vendor-completions/_popbsmtp: see zshcompsys(1). */
export function zshCompletion(root: CompletedCommand): string {
  return ["#compdef popbsmtp", "", ...functions(root, "_popbsmtp"), '_popbsmtp "$@"', ""].join(
    "\n",
  );
}

function functions(command: CompletedCommand, name: string): readonly string[] {
  const { commands, options, values, takesFile } = command;
  const specifications = options.map((option) => `    ${optionSpecification(option)} \\`);
  if (commands.length === 0) {
    const first =
      values.length > 0 ? `'1: :(${values.join(" ")})'` : takesFile ? "'*: :_files'" : "'*: :'";
    return [`${name}() {`, "  _arguments \\", ...specifications, `    ${first}`, "}", ""];
  }
  return [
    ...commands.flatMap((child) => functions(child, `${name}_${child.name}`)),
    `${name}() {`,
    "  local context state state_descr line",
    "  typeset -A opt_args",
    "  local -a commands",
    "  commands=(",
    ...commands.map((child) => `    ${quoted(`${child.name}:${child.meaning}`)}`),
    "  )",
    "  _arguments -C \\",
    ...specifications,
    "    '1: :->command' '*:: :->rest'",
    "  case $state in",
    "    command)",
    "      _describe command commands",
    ...(takesFile ? ["      [[ $PREFIX != */* ]] || _files"] : []),
    "      ;;",
    "    rest)",
    `      if (( $+functions[${name}_$line[1]] )); then`,
    `        ${name}_$line[1]`,
    ...(takesFile ? ["      else", "        _normal"] : []),
    "      fi",
    "      ;;",
    "  esac",
    "}",
    "",
  ];
}

function optionSpecification({ names, meaning, takesValue, values }: CompletedOption): string {
  const text = meaning.replaceAll(/[[\]\\:]/g, "\\$&");
  const action =
    values.length > 0 ? `(${values.join(" ")})` : names.includes("--config") ? "_files" : "";
  const value = takesValue ? `: :${action}` : "";
  return names
    .map((name) =>
      quoted(`${name}${takesValue && name.startsWith("--") ? "=" : ""}[${text}]${value}`),
    )
    .join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
