/** The formats that are applied to the lines of a log. */
import { UsageError } from "../lib/errors.ts";
import { courier } from "./courier-lines.ts";
import { cyrus } from "./cyrus-lines.ts";
import { dovecot } from "./dovecot-lines.ts";
import type { LineReading, ProgramFormat } from "./format.ts";
import type { Pattern } from "./pattern.ts";
import { qpopper } from "./qpopper-lines.ts";
import { uw } from "./uw-lines.ts";

const BUILT_IN: readonly ProgramFormat[] = [dovecot, courier, cyrus, uw, qpopper];

const SHORTEST_CUT = Math.min(...BUILT_IN.map(({ cutAt }) => cutAt));

/** The values of `format`: all built-in formats together, or one of them. */
export const FORMAT_NAMES: readonly string[] = ["auto", ...BUILT_IN.map(({ name }) => name)];

/** The most programs to remember; a log has fewer. */
const REMEMBERED = 1024;

/** A program, by its name in the log. */
interface Program {
  /** The formats of its lines. */
  readonly formats: readonly ProgramFormat[];
  /** A message of this length may be a piece of a longer one. */
  readonly cutAt: number;
  readonly stripped: readonly RegExp[];
}

/** Formats to try on a line, in order. */
export class Formats {
  readonly pattern: Pattern | undefined;
  readonly #formats: readonly ProgramFormat[];
  /** Most lines of a log are dropped after this look-up. */
  readonly #programs = new Map<string, Program>();

  private constructor(formats: readonly ProgramFormat[], pattern?: Pattern) {
    this.#formats = formats;
    this.pattern = pattern;
  }

  /**
   * @param name one of {@link FORMAT_NAMES}
   * @throws UsageError for any other name
   */
  static named(name: string): Formats {
    const formats = name === "auto" ? BUILT_IN : BUILT_IN.filter((format) => format.name === name);
    if (formats.length > 0) return new Formats(formats);
    throw new UsageError(`there is no format ${name}; expected ${FORMAT_NAMES.join(", ")}`);
  }

  /** The administrator's own format, alone. */
  static own(pattern: Pattern): Formats {
    return new Formats([], pattern);
  }

  /** Whether one of the formats knows the program. */
  knows(program: string): boolean {
    return this.#of(program).formats.length > 0;
  }

  /** Whether a message is so long that it may be a piece of a longer one. */
  isCut(text: string, program: string): boolean {
    return text.length >= this.#of(program).cutAt;
  }

  /** Whether blanks may have been removed from the end of a message, which hides a cut. */
  isStripped(text: string, program: string): boolean {
    return this.#of(program).stripped.some((beginning) => beginning.test(text));
  }

  /**
   * The login in a message.
   *
   * @param hasProcessId whether the line names the program with its process id
   */
  read(text: string, program: string, hasProcessId: boolean): LineReading {
    for (const format of this.#of(program).formats) {
      // imapd may be Courier's, Cyrus' or UW's
      if (format.hasProcessId === true && !hasProcessId) continue;
      const found = format.read(text, program);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #of(name: string): Program {
    const known = this.#programs.get(name);
    if (known !== undefined) return known;
    // a program may cut messages whichever format is configured
    const possible = BUILT_IN.filter(({ programs }) => programs.test(name));
    const cuts = possible.map(({ cutAt }) => cutAt);
    const program = {
      formats: possible.filter((format) => this.#formats.includes(format)),
      // a pattern may match the lines of any program
      cutAt: Math.min(...cuts, this.pattern === undefined ? Infinity : SHORTEST_CUT),
      stripped: possible.flatMap(({ stripped = [] }) => stripped),
    };
    if (this.#programs.size >= REMEMBERED) this.#programs.clear();
    this.#programs.set(name, program);
    return program;
  }
}
