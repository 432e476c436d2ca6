/** The command line of a wrapper in a mail server's configuration. */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { DEFAULT_CONFIG_PATH } from "../../config/config.ts";
import { problem, warning, type Finding } from "./finding.ts";
import type { Subject } from "./subject.ts";

export interface Wrapper {
  readonly program: string;
  /** By name, such as "--config"; undefined for an option without a value. */
  readonly options: ReadonlyMap<string, string | undefined>;
  /** The program that the wrapper executes, and its arguments. */
  readonly chain: readonly string[];
}

const WITH_VALUE = ["--config", "--wait", "--service", "--export"];

/** The popbsmtp among the words of a command line; undefined if there is none. */
export function findWrapper(words: readonly string[]): Wrapper | undefined {
  const at = words.findIndex((word) => basename(word) === "popbsmtp");
  const program = words[at];
  if (program === undefined) return undefined;
  const options = new Map<string, string | undefined>();
  const chain = words.slice(at + 1);
  for (let word = chain[0]; word?.startsWith("-") === true; word = chain[0]) {
    chain.shift();
    if (word === "--") break;
    const [, name, value] = /^(--\w+)=(.*)$/.exec(word) ?? [];
    if (name !== undefined) options.set(name, value);
    else options.set(word, WITH_VALUE.includes(word) ? chain.shift() : undefined);
  }
  return { program, options, chain };
}

/** The reverse of {@link findWrapper}. */
export function commandLine({ program, options, chain }: Wrapper): string {
  const words = [...options].flatMap(([name, value]) =>
    value === undefined ? [name] : [name, value],
  );
  return [program, ...words, ...chain].join(" ");
}

/** A wrapper that is this program with this configuration. */
export function newWrapper({ config, program }: Pick<Subject, "config" | "program">): Wrapper {
  return { program, options: withConfig(new Map(), config.path), chain: [] };
}

function withConfig(options: Wrapper["options"], path: string | undefined): Wrapper["options"] {
  const others = [...options].filter(([name]) => name !== "--config");
  return new Map(path === undefined ? others : [["--config", path], ...others]);
}

/**
 * Whether the wrapper is this program, with this configuration.
 *
 * @param protocol the protocol whose logins it records
 * @param write the lines to write to have that wrapper instead
 */
export function wrapperFindings(
  wrapper: Wrapper,
  { config, program }: Pick<Subject, "config" | "program">,
  protocol: string,
  write: (wrapper: Wrapper) => readonly string[],
): readonly Finding[] {
  const here = { ...wrapper, program };
  if (!isExecutable(wrapper.program)) {
    const text = `${protocol}: ${wrapper.program} is not a program: every login is refused`;
    return [problem(text, ...write(here))];
  }
  const findings: Finding[] = [];
  const theirs = wrapper.options.get("--config") ?? DEFAULT_CONFIG_PATH;
  const ours = config.path ?? DEFAULT_CONFIG_PATH;
  if (realPath(theirs) !== realPath(ours)) {
    const text = `${protocol}: popbsmtp reads ${theirs} there, not ${ours}`;
    const options = withConfig(wrapper.options, config.path);
    findings.push(problem(text, ...write({ ...wrapper, options })));
  }
  // no mail server runs main.ts of the source tree
  if (realPath(wrapper.program) !== program && !program.endsWith(".ts")) {
    const text = `${protocol}: ${wrapper.program} is a different popbsmtp from this one, ${program}`;
    findings.push(warning(text, ...write(here)));
  }
  return findings;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function realPath(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}
