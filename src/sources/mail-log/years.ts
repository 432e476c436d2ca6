/**
 * Determines the year of lines whose time has none.
 *
 * The first guess is the latest possible year. But a log is written in order, so if an older line
 * follows, as in a small log that is never rotated, the line is from an earlier year.
 */
import type { Login } from "../../login/login.ts";
import { lineTime } from "./line.ts";
import type { Lines, LogPosition } from "./log-file.ts";
import { DAY_MS, parseTimestamp } from "./timestamp.ts";
import type { Time } from "../../lib/clock.ts";

/** A login in one of several lines. */
export interface Dated {
  readonly login: Login;
  /** Its time as written, if that has no year. */
  readonly yearless: string | undefined;
  /** The index of its line. */
  readonly index: number;
}

/** A part of a file that has not been read yet. */
interface Part {
  readonly offset: number;
  /** The oldest time in it, in milliseconds since 1970. */
  readonly oldest: number;
}

export class Years {
  #file: LogPosition | undefined;
  /** The parts after the first lines that were settled. */
  #parts: readonly Part[] = [];

  /**
   * The logins, with the times of those from an earlier year corrected.
   *
   * @param lines the lines that contain them
   * @param from the file that contains the lines. Default: the lines after them are unknown
   */
  async settle(
    found: readonly Dated[],
    lines: readonly Buffer[],
    now: Time,
    from?: Lines,
  ): Promise<readonly Dated[]> {
    if (found.every(({ yearless }) => yearless === undefined)) return found;
    const context = { now, written: from?.next.modified };
    let oldest = from === undefined ? Infinity : await this.#oldestBehind(from, now);
    const result: Dated[] = [];
    let end = lines.length;
    for (const each of found.toReversed()) {
      for (const line of lines.slice(each.index + 1, end)) oldest = older(oldest, line, context);
      end = each.index + 1;
      result.push(settled(each, oldest));
    }
    return result.toReversed();
  }

  async #oldestBehind(from: Lines, now: Time): Promise<number> {
    const { next, rest } = from;
    if (rest === 0) return Infinity;
    if (!this.#hasLookedBehind(next)) {
      this.#file = next;
      this.#parts = await partsBehind(from, now);
    }
    return this.#parts
      .filter(({ offset }) => offset >= next.offset)
      .reduce((oldest, part) => Math.min(oldest, part.oldest), Infinity);
  }

  /** Lines written since then follow the lines that were looked at. */
  #hasLookedBehind({ device, inode, offset, head }: LogPosition): boolean {
    const file = this.#file;
    return (
      file?.device === device &&
      file.inode === inode &&
      file.offset <= offset &&
      file.head.sha256 === head.sha256
    );
  }
}

async function partsBehind({ behind, next }: Lines, now: Time): Promise<readonly Part[]> {
  const context = { now, written: next.modified };
  const parts: Part[] = [];
  for await (const { lines, offset } of behind()) {
    let oldest = Infinity;
    for (const line of lines) oldest = older(oldest, line, context);
    parts.push({ offset, oldest });
  }
  return parts;
}

function older(oldest: number, line: Buffer, context: Parameters<typeof lineTime>[1]): number {
  return Math.min(oldest, lineTime(line, context) ?? Infinity);
}

function settled(dated: Dated, oldest: number): Dated {
  const { login, yearless } = dated;
  // lines of several hosts or processes may be out of order, but not by that much
  if (yearless === undefined || oldest >= login.time - DAY_MS) return dated;
  const time = parseTimestamp(yearless, oldest) ?? 0;
  return { ...dated, login: { ...login, time } };
}
