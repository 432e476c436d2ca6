/**
 * Tells lines that may be pieces of a longer message from whole ones.
 *
 * A server or a syslog daemon that cuts a long message writes each piece as a line of its own, and a client chooses what the message
 * contains: a piece may look exactly like a login. So a line that may be a piece never counts as one:
 *
 * - a line that is itself as long as a piece;
 * - the program's next line, however late: the last piece is short, courierlogger removes blanks at the front of each piece, and it
 *   logs a piece only when another message arrives;
 * - the program's lines of the next half minute: other processes' lines may come between two pieces.
 */
import * as v from "valibot";

/** A longer line is no login, and may go on in a line of any program: rsyslog cuts at 8 KiB what it receives over TCP. Bytes. */
export const LINE_BYTES = 8_000;

/** How long after a piece the rest of the message may still come. Milliseconds. */
const REST_MS = 30_000;

/** A line that is earlier than the piece by more than this comes from a clock that was set back, not from the end of summer time. */
const SET_BACK_MS = 3 * 3_600_000;

/** How many programs are remembered; there are not that many. */
const REMEMBERED = 1024;

/** In place of a program's name: all of them. */
const EVERY = "*";

const doubt = v.object({
  /** The piece's time, in milliseconds since 1970; undefined until a line with a time comes. */
  since: v.optional(v.number()),
  /** The program has logged nothing since. */
  isNext: v.boolean(),
  /** No line but the next may belong to the message. */
  isNextOnly: v.boolean(),
});

type Doubt = v.InferOutput<typeof doubt>;

/** What has to be remembered of the lines before: as JSON, from one process to the next. */
export const fragmentsSchema = v.object({
  /** By program, or {@link EVERY}. */
  doubts: v.array(v.tuple([v.string(), doubt])),
  /** Some lines before were not seen: a program's next line may belong to one of them. */
  unseen: v.optional(v.object({ isNextOnly: v.boolean(), programs: v.array(v.string()) })),
});

export type FragmentsState = v.InferOutput<typeof fragmentsSchema>;

/** A line, as far as it matters here. */
export interface Piece {
  /** Who wrote it; "" where that is not known. */
  readonly program: string;
  /** It may be a piece of a longer message by what it is itself. */
  readonly isCut: boolean;
  /** It is so long that a line of any program may be its rest. */
  readonly isEverybodys: boolean;
  /** Blanks may have been removed from its end, so that its length tells nothing. */
  readonly isStripped: boolean;
  /** Its time, in milliseconds since 1970; undefined where it has none. Called only where it matters. */
  readonly time: () => number | undefined;
}

/** Follows the lines of a log, in order. */
export class Fragments {
  readonly #doubts: Map<string, Doubt>;
  /** Which programs have logged something since there were lines that were not seen. */
  #unseen: { readonly isNextOnly: boolean; readonly programs: Set<string> } | undefined;

  /** @param state of the lines before. Default: there are none */
  constructor({ doubts, unseen }: FragmentsState = { doubts: [] }) {
    this.#doubts = new Map(doubts);
    this.#unseen = unseen && { ...unseen, programs: new Set(unseen.programs) };
  }

  /** @param lost what was not seen of the lines before: all of them, or those of the last instant */
  startAnew(lost: "all" | "last"): void {
    this.#unseen = { isNextOnly: lost === "last", programs: new Set() };
  }

  get state(): FragmentsState {
    const unseen = this.#unseen && { ...this.#unseen, programs: [...this.#unseen.programs] };
    return { doubts: [...this.#doubts], unseen };
  }

  /** Takes the next line. True: it may be a piece of a longer message. */
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
    // a piece that came late may itself be followed by others
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

  /** At a program's first line since there were lines that were not seen. */
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
