/** From lines of a log to the logins in them that may still count. */
import type { Network } from "../../login/address.ts";
import type { Login } from "../../login/login.ts";
import type { Formats } from "../../mail-formats/formats.ts";
import { Fragments, type FragmentsState } from "../../mail-formats/fragments.ts";
import { parseLine, type LineResult } from "./line.ts";
import type { Lines } from "./log-file.ts";
import { Recognition, sampleOf, type Quiet } from "./recognition.ts";
import { Years, type Dated } from "./years.ts";
import type { Clock, Time } from "../../lib/clock.ts";

/** A spool's file is named by a time of 16 digits: nobody read mail before that (September 2001). Milliseconds since 1970. */
const EARLIEST = 1e12;

/** What became of a login that a log tells of. Excluded ones are not in the spool. */
export type WatchOutcome = "spooled" | "excluded";

/** How many lines were what. */
export type LineCounts = Readonly<Record<LineResult["kind"], number>>;

/** What it takes to make logins of lines. */
export interface Selection {
  readonly formats: Formats;
  readonly exclude: readonly Network[];
  readonly now: Clock;
  /** How old a login may be. Milliseconds. */
  readonly lifetime: number;
  /** Logins from this time on, whatever their age. Milliseconds since 1970. */
  readonly since?: number | undefined;
  /** How long nothing may be recognised while lines come. Milliseconds; 0: forever. */
  readonly quietAfter: number;
  readonly onQuiet: (quiet: Quiet) => void;
  /** Told of a login that cannot count: why, and the line as it may be shown. */
  readonly onRefused: (why: string, line: string) => void;
  /** Whether somebody else has recorded a login already. Default: nobody has. */
  readonly isKnown?: (login: Login) => boolean;
  /** Told of logins once they are in the spool, or excluded for good. */
  readonly onLogin?: (login: Login, outcome: WatchOutcome) => void;
  readonly onLines?: (counts: LineCounts) => void;
}

/** What was found in some lines. */
export interface Selected {
  /** To be put into the spool. */
  readonly logins: readonly Login[];
  /** To be called once they are in it. */
  readonly done: () => void;
}

/** Finds logins in lines. */
export class Selector {
  readonly #options: Selection;
  readonly #recognition: Recognition;
  readonly #fragments: Fragments;
  readonly #years = new Years();

  /** @param before what is to be remembered of the lines before; undefined: they are not known */
  constructor(options: Selection, before: FragmentsState | undefined) {
    this.#options = options;
    this.#fragments = new Fragments(before);
    if (before === undefined) this.startAnew("all");
    this.#recognition = new Recognition(options.quietAfter, options.now(), options.onQuiet);
  }

  /** What has to be remembered of the lines so far. */
  get fragments(): FragmentsState {
    return this.#fragments.state;
  }

  /** @param lost what was not seen of the lines before the next one: all of them, or those of the last instant */
  startAnew(lost: "all" | "last"): void {
    this.#fragments.startAnew(lost);
  }

  /**
   * The logins in some lines.
   *
   * @param from the file they come from
   */
  async select(lines: readonly Buffer[], from?: Lines): Promise<Selected> {
    const { exclude, isKnown, onLogin, onLines } = this.#options;
    const now = this.#options.now();
    const earliest = this.#earliest(now);
    const { found, counts } = this.#parse(lines, now, from?.next.modified);
    const recent = found.filter(({ login }) => login.time >= earliest);
    const dated = await this.#years.settle(recent, lines, now, from);
    const logins: Login[] = [];
    const excluded: Login[] = [];
    for (const { login: each, index } of dated) {
      if (each.time < earliest) continue;
      const login = from === undefined ? each : distinct(each, from.before + index);
      if (isKnown?.(login) === true) continue;
      const isExcluded = exclude.some((network) => network.contains(login.address));
      (isExcluded ? excluded : logins).push(login);
    }
    return {
      logins,
      done: () => {
        for (const login of logins) onLogin?.(login, "spooled");
        for (const login of excluded) onLogin?.(login, "excluded");
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

  /** No line comes any more. */
  end(): void {
    this.#recognition.end();
  }

  #earliest(now: Time): number {
    const { since, lifetime } = this.#options;
    return Math.max(EARLIEST, since ?? now - lifetime);
  }
}

/**
 * Logs have whole seconds, and a login with the time of the last one is taken for that very one (Store.authorize): the line's place in
 * the log tells them apart, by as many microseconds of that second, and is the same whenever the log is read.
 */
function distinct(login: Login, line: number): Login {
  if (login.time % 1000 !== 0) return login;
  return { ...login, time: login.time + (line % 1_000_000) / 1000 };
}
