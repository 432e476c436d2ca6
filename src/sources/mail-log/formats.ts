/** The formats that lines of a log are read in. */
import { UsageError } from "../../errors.ts";
import { courier } from "./courier.ts";
import { cyrus } from "./cyrus.ts";
import { dovecot } from "./dovecot.ts";
import type { Found, ProgramFormat } from "./format.ts";
import type { Pattern } from "./pattern.ts";
import { qpopper } from "./qpopper.ts";
import { uw } from "./uw.ts";

const BUILT_IN: readonly ProgramFormat[] = [dovecot, courier, cyrus, uw, qpopper];

/** What `format` may be: all that are built in at once, or one of them. */
export const FORMAT_NAMES: readonly string[] = ["auto", ...BUILT_IN.map(({ name }) => name)];

/** So many names of programs are remembered; there are not that many programs. */
const REMEMBERED = 1024;

/** Formats to read a line in, one after the other. */
export class Formats {
  readonly pattern: Pattern | undefined;
  readonly #formats: readonly ProgramFormat[];
  /** By program: almost every line of a log is thrown away here. */
  readonly #byProgram = new Map<string, readonly ProgramFormat[]>();

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
    return this.#of(program).length > 0;
  }

  /** What a program's message tells of. */
  read(text: string, program: string): Found {
    for (const format of this.#of(program)) {
      const found = format.read(text, program);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #of(program: string): readonly ProgramFormat[] {
    const known = this.#byProgram.get(program);
    if (known !== undefined) return known;
    const formats = this.#formats.filter(({ programs }) => programs.test(program));
    if (this.#byProgram.size >= REMEMBERED) this.#byProgram.clear();
    this.#byProgram.set(program, formats);
    return formats;
  }
}
