import { Command, type Help } from "commander";
import { EX } from "../lib/errors.ts";

/** The width of `--help` if standard output is not a terminal. */
const COLUMNS = 80;

/**
 * The arguments of an action in commander: the command's arguments, the options, and the command.
 */
type ActionArguments = Parameters<Parameters<Command["action"]>[0]>;

/**
 * A command whose `--help` ends with exit statuses and examples. scripts/manual.ts writes
 * popbsmtp(8) from the same texts.
 */
export class DocumentedCommand extends Command {
  readonly #exitStatuses: [status: number, meaning: string][] = [];
  readonly #examples: string[] = [];
  #status: number = EX.OK;

  constructor(name: string) {
    super(name);
    this.addHelpText("after", () => this.#ending());
  }

  get exitStatuses(): readonly (readonly [status: number, meaning: string])[] {
    return this.#exitStatuses;
  }

  /** The exit status that its action has returned; 0 if it returned none. */
  get status(): number {
    return this.#status;
  }

  override action(act: (...args: ActionArguments) => void | number | Promise<void | number>): this {
    return super.action(async (...args) => {
      const status = await act(...args);
      this.#status = typeof status === "number" ? status : EX.OK;
    });
  }

  get examples(): readonly string[] {
    return this.#examples;
  }

  /** Documents an exit status with a special meaning for this command. */
  exitStatus(status: number, meaning: string): this {
    this.#exitStatuses.push([status, meaning]);
    return this;
  }

  /** Adds lines of shell to the examples. */
  example(...lines: readonly string[]): this {
    this.#examples.push(...lines);
    return this;
  }

  #ending(): string {
    const statuses = this.#exitStatuses.map(([status, meaning]): HelpItem => [
      String(status),
      meaning,
    ]);
    const examples = this.#examples.map((line) => `  ${line}`);
    return [
      ...helpSection(this.createHelp(), "Exit status:", statuses),
      ...(examples.length === 0 ? [] : ["", "Examples:", ...examples]),
    ].join("\n");
  }
}

/** A term, and its meaning. */
export type HelpItem = readonly [term: string, meaning: string];

/** The lines of a section of `--help`, in commander's layout of options; empty without items. */
export function helpSection(
  help: Help,
  title: string,
  items: readonly HelpItem[],
): readonly string[] {
  if (items.length === 0) return [];
  help.prepareContext({ helpWidth: COLUMNS });
  const width = Math.max(...items.map(([term]) => term.length));
  return ["", title, ...items.map(([term, text]) => help.formatItem(term, width, text, help))];
}
