import type { Login } from "../../login.ts";
import type { LogFormat } from "./formats.ts";
import { parseTimestamp } from "./timestamp.ts";

/** What a line of a log is. */
export type LineResult =
  /** Somebody has logged in. The time is the line's: whole seconds, or down to microseconds where the line has them. */
  | { readonly kind: "login"; readonly login: Login }
  /** It tells of a login that cannot count, and why, for people: no time in it, or one that is in the future. */
  | { readonly kind: "refused"; readonly why: string }
  /** A mail server's, and no login. */
  | { readonly kind: "known" }
  /** Nothing that is recognised. */
  | { readonly kind: "unknown" };

/** What it takes to read a line. */
export interface LineContext {
  /** Tried one after the other. */
  readonly formats: readonly LogFormat[];
  /** This host's clock, in milliseconds since 1970. */
  readonly now: number;
  /**
   * When the file was last written to, in milliseconds since 1970: no line of it is later, which tells the year where lines have none.
   * Default: `now`.
   */
  readonly written?: number | undefined;
}

/** A longer line is nobody's login. Bytes. */
const LINE_BYTES = 8 * 1024;

/** Reads a line, without its newline. */
export function parseLine(line: Buffer, { formats, now, written = now }: LineContext): LineResult {
  if (line.length > LINE_BYTES) return { kind: "unknown" };
  const text = line.toString("latin1");
  const timestamp = parseTimestamp(text, Math.min(now, written));
  const match = /^(?:\S+ ([^\s:[]+)(?:\[\d+\])?: )?(.*)$/.exec(text.slice(timestamp?.end ?? 0));
  const [, program = "", rest = ""] = match ?? [];
  const message = { program, text: rest };
  const format = formats.find(({ isOf }) => isOf(message));
  if (format === undefined) return { kind: "unknown" };
  const login = format.parse(message);
  if (login === undefined) return { kind: "known" };
  if (timestamp === undefined) return { kind: "refused", why: "the line has no time" };
  return { kind: "login", login: { ...login, time: timestamp.time } };
}
