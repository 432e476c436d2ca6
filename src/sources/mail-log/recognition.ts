import type { Time } from "../../lib/clock.ts";
import { printable } from "../../lib/terminal.ts";

/** The most characters of a line to show. */
const SAMPLE_CHARACTERS = 200;

/** A log in which no line has been recognised for a long time. */
export interface Quiet {
  /** The number of lines since. */
  readonly lines: number;
  /** The first of them, safe for a terminal. */
  readonly sample: string;
}

/**
 * Notices that a log no longer contains a mail server's lines: it is the wrong file, its format has
 * changed, or the server is a new version.
 */
export class Recognition {
  readonly #after: number;
  readonly #onQuiet: (quiet: Quiet) => void;
  #since: number;
  /** The unrecognised lines since, and the first of them. */
  #lines = 0;
  #sample = "";
  #isKnown = false;
  #isTold = false;

  /**
   * @param after how long no line may be recognised while lines arrive, in milliseconds; 0: forever
   */
  constructor(after: number, now: Time, onQuiet: (quiet: Quiet) => void) {
    this.#after = after;
    this.#since = now;
    this.#onQuiet = onQuiet;
  }

  /** A mail server's line, login or not. */
  recognised(now: Time): void {
    this.#since = now;
    this.#lines = 0;
    this.#isTold = false;
    this.#isKnown = true;
  }

  /** A line of an unknown kind. */
  unrecognised(line: Buffer, now: Time): void {
    if (this.#lines === 0) this.#sample = sampleOf(line);
    this.#lines += 1;
    if (this.#after > 0 && now - this.#since >= this.#after) this.#tell();
  }

  /** The log has ended. */
  end(): void {
    if (!this.#isKnown && this.#lines > 0) this.#tell();
  }

  #tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#onQuiet({ lines: this.#lines, sample: this.#sample });
  }
}

/** The beginning of a line, safe for a terminal. */
export function sampleOf(line: Buffer): string {
  return printable(line.toString().slice(0, SAMPLE_CHARACTERS));
}
