import type { Time } from "../../lib/clock.ts";
import { printable } from "../../lib/terminal.ts";

/** As much of a line is shown. Characters. */
const SAMPLE_CHARACTERS = 200;

/** A log in which nothing has been recognised for long. */
export interface Quiet {
  /** How many lines came meanwhile. */
  readonly lines: number;
  /** The first of them, as it may be shown. */
  readonly sample: string;
}

/** Whether what comes is still what a mail server writes: the wrong file, another format, and a new version look alike. */
export class Recognition {
  readonly #after: number;
  readonly #onQuiet: (quiet: Quiet) => void;
  #since: number;
  /** Unrecognised ones since, and the first of them. */
  #lines = 0;
  #sample = "";
  #isKnown = false;
  #isTold = false;

  /**
   * @param after how long nothing may be recognised while lines come, in milliseconds; 0: forever
   */
  constructor(after: number, now: Time, onQuiet: (quiet: Quiet) => void) {
    this.#after = after;
    this.#since = now;
    this.#onQuiet = onQuiet;
  }

  /** A line that is a mail server's, login or not. */
  recognised(now: Time): void {
    this.#since = now;
    this.#lines = 0;
    this.#isTold = false;
    this.#isKnown = true;
  }

  /** A line that is nothing known. */
  unrecognised(line: Buffer, now: Time): void {
    if (this.#lines === 0) this.#sample = sampleOf(line);
    this.#lines += 1;
    if (this.#after > 0 && now - this.#since >= this.#after) this.#tell();
  }

  /** No line comes any more. */
  end(): void {
    if (!this.#isKnown && this.#lines > 0) this.#tell();
  }

  #tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#onQuiet({ lines: this.#lines, sample: this.#sample });
  }
}

/** The beginning of a line, with nothing in it that a terminal would obey. */
export function sampleOf(line: Buffer): string {
  return printable(line.toString().slice(0, SAMPLE_CHARACTERS));
}
