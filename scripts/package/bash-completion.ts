import type { CompletedCommand, CompletedOption } from "./command-tree.ts";

/** /usr/share/bash-completion/completions/popbsmtp. Needs bash alone. */
export function bashCompletion(root: CompletedCommand): string {
  return `# bash completion for popbsmtp(8)

_popbsmtp() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' value='' words='' files='' word commands options
  local -i at
  # what has been typed before: the command, and an option that still lacks its value
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ $word == = && -n $value ]]; then continue; fi
    if [[ -n $value ]]; then value='' && continue; fi
    case $word in
      ${patterns(valued(root), "|")}) value=$word && continue ;;
      -*) continue ;;
    esac
    # a program: the rest is its own command line
    [[ $word != */* || -n $path ]] || return 0
    case "$path $word" in
      ${each(root, "")
        .slice(1)
        .map(([path]) => `"${path}"`)
        .join(" | ")}) path+=" $word" ;;
    esac
  done
  [[ $current != = ]] || current=
  case $value in
    "") ;;
${valued(root)
  .filter(({ values }) => values.length > 0)
  .map(
    ({ names, values }) => `    ${names.join(" | ")}) words='${values.join(" ")}' ;;
`,
  )
  .join("")}    --config) files=1 ;;
    *) return 0 ;;
  esac
  if [[ -z $value ]]; then
    case $path in
${each(root, "")
  .map(([path, command]) => `      ${branch(path, command)}\n`)
  .join("")}    esac
    [[ $current != -* ]] || words=$options
    [[ $current == -* || -z \${commands+set} ]] || words=$commands
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ -n $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O \${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current")
  fi
}

complete -F _popbsmtp popbsmtp
`;
}

/** A command and those below it, each with the words that lead to it. */
function each(
  command: CompletedCommand,
  path: string,
): readonly (readonly [path: string, command: CompletedCommand])[] {
  return [
    [path, command],
    ...command.commands.flatMap((child) => each(child, `${path} ${child.name}`)),
  ];
}

function branch(path: string, { commands, options, values, takesFile }: CompletedCommand): string {
  const words = [...commands.map(({ name }) => name), ...values].join(" ");
  const flags = options.flatMap(({ names }) => names).join(" ");
  return `"${path}") commands='${words}' options='${flags}'${takesFile ? " files=1" : ""} ;;`;
}

/** The options with a value, of any command. */
function valued(root: CompletedCommand): readonly CompletedOption[] {
  const all = each(root, "").flatMap(([, command]) => command.options);
  const byName = new Map(
    all.filter(({ takesValue }) => takesValue).map((option) => [option.names.join(), option]),
  );
  return [...byName.values()];
}

function patterns(options: readonly CompletedOption[], separator: string): string {
  return options.flatMap(({ names }) => names).join(` ${separator} `);
}
