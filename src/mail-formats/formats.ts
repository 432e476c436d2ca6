/** The formats that lines of a log are read in. */
import { UsageError } from "../lib/errors.ts";
import { courier } from "./courier-lines.ts";
import { cyrus } from "./cyrus-lines.ts";
import { dovecot } from "./dovecot-lines.ts";
import type { Found, ProgramFormat } from "./format.ts";
import type { Pattern } from "./pattern.ts";
import { qpopper } from "./qpopper-lines.ts";
import { uw } from "./uw-lines.ts";

const BUILT_IN: readonly ProgramFormat[] = [dovecot, courier, cyrus, uw, qpopper];

const SHORTEST_CUT = Math.min(...BUILT_IN.map(({ cutAt }) => cutAt));

/** What `format` may be: all that are built in at once, or one of them. */
export const FORMAT_NAMES: readonly string[] = ["auto", ...BUILT_IN.map(({ name }) => name)];

/** As many programs are remembered; there are not that many. */
const REMEMBERED = 1024;

/** What is known of a program by its name. */
interface Program {
  /** The formats to read its lines in. */
  readonly formats: readonly ProgramFormat[];
  /** A message of as many bytes may be a piece of a longer one. */
  readonly cutAt: number;
  readonly stripped: readonly RegExp[];
}

/** Formats to read a line in, one after the other. */
export class Formats {
  readonly pattern: Pattern | undefined;
  readonly #formats: readonly ProgramFormat[];
  /** Almost every line of a log is thrown away here. */
  readonly #programs = new Map<string, Program>();

  private constructor(formats: readonly ProgramFormat[], pattern?: Pattern) {
    this.#formats = formats;
    this.pattern = pattern;
  }

  /**
   * @param name one of {@link FORMAT_NAMES}
   * @throws UsageError where it is none
   */
  static named(name: string): Formats {
    const formats = name === "auto" ? BUILT_IN : BUILT_IN.filter((format) => format.name === name);
    if (formats.length > 0) return new Formats(formats);
    throw new UsageError(`no format is called ${name}; expected ${FORMAT_NAMES.join(", ")}`);
  }

  /** A format of the administrator's own, and no other. */
  static own(pattern: Pattern): Formats {
    return new Formats([], pattern);
  }

  /** Whether one of the formats knows the program. */
  knows(program: string): boolean {
    return this.#of(program).formats.length > 0;
  }

  /** Whether a program's message is so long that it may be a piece of a longer one. */
  isCut(text: string, program: string): boolean {
    return text.length >= this.#of(program).cutAt;
  }

  /** Whether a program's message may have been longer, with blanks at its end that somebody took off. */
  isStripped(text: string, program: string): boolean {
    return this.#of(program).stripped.some((beginning) => beginning.test(text));
  }

  /**
   * What a program's message tells of.
   *
   * @param hasProcessId the line names the program with its process id
   */
  read(text: string, program: string, hasProcessId: boolean): Found {
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
    // whatever the configuration says, the name may be that of a program that cuts
    const possible = BUILT_IN.filter(({ programs }) => programs.test(name));
    const cuts = possible.map(({ cutAt }) => cutAt);
    const program = {
      formats: possible.filter((format) => this.#formats.includes(format)),
      // a pattern may be for any program
      cutAt: Math.min(...cuts, this.pattern === undefined ? Infinity : SHORTEST_CUT),
      stripped: possible.flatMap(({ stripped = [] }) => stripped),
    };
    if (this.#programs.size >= REMEMBERED) this.#programs.clear();
    this.#programs.set(name, program);
    return program;
  }
}
