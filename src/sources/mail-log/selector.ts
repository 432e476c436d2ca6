/** Finds the logins in lines of a log that may still count. */
import { refusalOf, type Admission, type Refusal } from "../../guards/admission.ts";
import type { Login } from "../../login/login.ts";
import type { Formats } from "../../mail-formats/formats.ts";
import { Fragments, type FragmentsState } from "../../mail-formats/fragments.ts";
import { parseLine, type LineResult } from "./line.ts";
import type { Lines } from "./log-file.ts";
import { Recognition, sampleOf, type Quiet } from "./recognition.ts";
import { Years, type Dated } from "./years.ts";
import type { Clock, Time } from "../../lib/clock.ts";

/**
 * The first time of 16 digits, which the name of a spool file has, in September 2001. Milliseconds
 * since 1970.
 */
const EARLIEST = 1e12;

/** What was done with a login in a log. Refused ones are not in the spool. */
export type WatchOutcome = "spooled" | Refusal;

/** The number of lines of each kind. */
export type LineCounts = Readonly<Record<LineResult["kind"], number>>;

/** The criteria for logins. */
export interface Selection {
  readonly formats: Formats;
  readonly admission: Admission;
  readonly now: Clock;
  /** The greatest age of a login, in milliseconds. */
  readonly lifetime: number;
  /** Accept logins from this time on, whatever their age. Milliseconds since 1970. */
  readonly since?: number | undefined;
  /** How long no line may be recognised while lines arrive, in milliseconds; 0: forever. */
  readonly quietAfter: number;
  readonly onQuiet: (quiet: Quiet) => void;
  /** Called for a login that does not count, with the reason and the line, safe for a terminal. */
  readonly onRefused: (why: string, line: string) => void;
  /** Whether another source has already recorded a login. Default: no. */
  readonly isKnown?: (login: Login) => boolean;
  /** Called for logins once they are in the spool, or refused for good. */
  readonly onLogin?: (login: Login, outcome: WatchOutcome) => void;
  readonly onLines?: (counts: LineCounts) => void;
}

/** The logins in some lines. */
export interface Selected {
  /** To be put into the spool. */
  readonly logins: readonly Login[];
  /** To be called once they are in the spool. */
  readonly done: () => void;
}

/** Finds logins in lines. */
export class Selector {
  readonly #options: Selection;
  readonly #recognition: Recognition;
  readonly #fragments: Fragments;
  readonly #years = new Years();

  /** @param before the state after the lines before; undefined if unknown */
  constructor(options: Selection, before: FragmentsState | undefined) {
    this.#options = options;
    this.#fragments = new Fragments(before);
    if (before === undefined) this.startAnew("all");
    this.#recognition = new Recognition(options.quietAfter, options.now(), options.onQuiet);
  }

  /** The state after the lines so far. */
  get fragments(): FragmentsState {
    return this.#fragments.state;
  }

  /**
   * @param lost the lines before the next one that were missed: all of them, or those of the last
   * instant
   */
  startAnew(lost: "all" | "last"): void {
    this.#fragments.startAnew(lost);
  }

  /**
   * The logins in some lines.
   *
   * @param from the file that contains them
   */
  async select(lines: readonly Buffer[], from?: Lines): Promise<Selected> {
    const { admission, isKnown, onLogin, onLines } = this.#options;
    const now = this.#options.now();
    const earliest = this.#earliest(now);
    const { found, counts } = this.#parse(lines, now, from?.next.modified);
    const recent = found.filter(({ login }) => login.time >= earliest);
    const dated = await this.#years.settle(recent, lines, now, from);
    const logins: Login[] = [];
    const refused: [Login, Refusal][] = [];
    for (const { login: each, index } of dated) {
      if (each.time < earliest) continue;
      const login = from === undefined ? each : distinct(each, from.before + index);
      if (isKnown?.(login) === true) continue;
      const refusal = refusalOf(login, admission);
      if (refusal === undefined) logins.push(login);
      else refused.push([login, refusal]);
    }
    return {
      logins,
      done: () => {
        for (const login of logins) onLogin?.(login, "spooled");
        for (const [login, refusal] of refused) onLogin?.(login, refusal);
        onLines?.(counts);
      },
    };
  }

  #parse(lines: readonly Buffer[], now: Time, written: number | undefined) {
    const context = { formats: this.#options.formats, fragments: this.#fragments, now, written };
    const found: Dated[] = [];
    const counts = { login: 0, refused: 0, known: 0, other: 0, unknown: 0 };
    for (const [index, line] of lines.entries()) {
      const result = parseLine(line, context);
      counts[result.kind] += 1;
      if (result.kind === "other" || result.kind === "unknown") {
        this.#recognition.unrecognised(line, now);
        continue;
      }
      this.#recognition.recognised(now);
      if (result.kind === "refused") this.#options.onRefused(result.why, sampleOf(line));
      if (result.kind === "login") found.push({ ...result, index });
    }
    return { found, counts };
  }

  /** The log has ended. */
  end(): void {
    this.#recognition.end();
  }

  #earliest(now: Time): number {
    const { since, lifetime } = this.#options;
    return Math.max(EARLIEST, since ?? now - lifetime);
  }
}

/**
 * Makes the times of logins within a second differ. Logs have whole seconds, and a login with the
 * same time as the last one counts as a repetition (Store.authorize). The number of the line, in
 * microseconds, tells them apart, and is the same whenever the log is read.
 */
function distinct(login: Login, line: number): Login {
  if (login.time % 1000 !== 0) return login;
  return { ...login, time: login.time + (line % 1_000_000) / 1000 };
}
