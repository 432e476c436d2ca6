/**
 * Detects lines that may be pieces of a longer message.
 *
 * A server or syslog daemon that cuts a long message writes each piece as a line of its own. The
 * client controls the text, so a piece may look exactly like a login. These lines may be pieces,
 * and never count as logins:
 *
 * - a line that is as long as a piece;
 * - the next line of the program, however late: the last piece is short, courierlogger removes
 *   blanks at the front of each piece, and logs a piece only when another message arrives;
 * - all lines of the program in the next half minute: lines of other processes may come between two
 *   pieces.
 */
import * as v from "valibot";

/**
 * A longer line is not a login, and its rest may appear as a line of any program: rsyslog cuts at 8
 * KiB what it receives over TCP. Bytes.
 */
export const LINE_BYTES = 8_000;

/** How long after a piece the rest of the message may still arrive. Milliseconds. */
const REST_MS = 30_000;

/**
 * A line that is earlier than the piece by more than this shows a clock that was set back, not the
 * end of summer time.
 */
const SET_BACK_MS = 3 * 3_600_000;

/** The most programs to remember; a log has fewer. */
const REMEMBERED = 1024;

/** Stands for all programs. */
const EVERY = "*";

const doubt = v.object({
  /**
   * The time of the piece, in milliseconds since 1970; undefined until a line with a time follows.
   */
  since: v.optional(v.number()),
  /** Whether the program has logged nothing since. */
  isNext: v.boolean(),
  /** Whether only the next line can belong to the message. */
  isNextOnly: v.boolean(),
});

type Doubt = v.InferOutput<typeof doubt>;

/** The state after a line, as JSON: it passes from one process to the next. */
export const fragmentsSchema = v.object({
  /** By program, or {@link EVERY}. */
  doubts: v.array(v.tuple([v.string(), doubt])),
  /** Lines were missed, and the next line of a program may belong to one of them. */
  unseen: v.optional(v.object({ isNextOnly: v.boolean(), programs: v.array(v.string()) })),
});

export type FragmentsState = v.InferOutput<typeof fragmentsSchema>;

/** The properties of a line that matter here. */
export interface Piece {
  /** The program that wrote the line; "" if unknown. */
  readonly program: string;
  /** Whether the line itself may be a piece of a longer message. */
  readonly isCut: boolean;
  /** Whether the line is so long that a line of any program may be its rest. */
  readonly isEverybodys: boolean;
  /** Whether blanks may have been removed from its end, so that its length proves nothing. */
  readonly isStripped: boolean;
  /**
   * The time of the line, in milliseconds since 1970; undefined if it has none. Called only when
   * needed.
   */
  readonly time: () => number | undefined;
}

/** Follows the lines of a log, in order. */
export class Fragments {
  readonly #doubts: Map<string, Doubt>;
  /** The programs that have logged since lines were missed. */
  #unseen: { readonly isNextOnly: boolean; readonly programs: Set<string> } | undefined;

  /** @param state the state after the lines before. Default: there were none */
  constructor({ doubts, unseen }: FragmentsState = { doubts: [] }) {
    this.#doubts = new Map(doubts);
    this.#unseen = unseen && { ...unseen, programs: new Set(unseen.programs) };
  }

  /** @param lost the lines before that were missed: all of them, or those of the last instant */
  startAnew(lost: "all" | "last"): void {
    this.#unseen = { isNextOnly: lost === "last", programs: new Set() };
  }

  get state(): FragmentsState {
    const unseen = this.#unseen && { ...this.#unseen, programs: [...this.#unseen.programs] };
    return { doubts: [...this.#doubts], unseen };
  }

  /** Takes the next line. Returns true if it may be a piece of a longer message. */
  take(piece: Piece): boolean {
    const { program, isCut, isEverybodys, isStripped } = piece;
    const afterAny = this.#isDoubted(EVERY, piece);
    const afterOwn = this.#isDoubted(program, piece);
    if (isEverybodys) this.#remember(EVERY, piece, false);
    if (isCut || isEverybodys) this.#remember(program, piece, false);
    else if (isStripped) this.#remember(program, piece, !this.#doubts.has(program));
    return isCut || isEverybodys || afterAny || afterOwn;
  }

  #isDoubted(key: string, { time }: Piece): boolean {
    const before = this.#doubts.get(key) ?? this.#doubtOfStranger(key);
    if (before === undefined) return false;
    const now = time();
    // a late piece may itself be followed by others
    const since = before.isNext ? now : (before.since ?? now);
    const elapsed = now === undefined || since === undefined ? 0 : now - since;
    const isSoon = elapsed > -SET_BACK_MS && elapsed < REST_MS;
    if (isSoon && !before.isNextOnly) {
      this.#doubts.set(key, { since, isNext: false, isNextOnly: false });
    } else {
      this.#doubts.delete(key);
    }
    return isSoon;
  }

  /** The first line of a program after lines were missed. */
  #doubtOfStranger(program: string): Doubt | undefined {
    if (this.#unseen === undefined || program === EVERY) return undefined;
    const { isNextOnly, programs } = this.#unseen;
    if (programs.has(program)) return undefined;
    if (programs.size >= REMEMBERED) programs.clear();
    programs.add(program);
    return { isNext: true, isNextOnly };
  }

  #remember(key: string, { time }: Piece, isNextOnly: boolean): void {
    const next = { since: time(), isNext: true };
    if (this.#doubts.size < REMEMBERED || this.#doubts.has(key)) {
      this.#doubts.set(key, { ...next, isNextOnly });
    } else {
      this.#doubts.clear();
      this.#doubts.set(EVERY, { ...next, isNextOnly: false });
    }
  }
}
