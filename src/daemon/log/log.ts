/** The daemon's log: one line an event, on stderr, as key=value. */
import type { LogLevel } from "../../config/config.ts";
import { eventText, type LineStyle } from "./log-line.ts";

/** The fields of an event; those that are undefined are left out. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warning(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

export interface LogOptions {
  /** The lowest level that is written. */
  readonly level: LogLevel;
  /** The format of a line for the reader of the log. */
  readonly style: LineStyle;
  /** Writes a line, with its newline; false: it could not be written and is lost. */
  readonly write: (line: string) => boolean;
}

/** The log with the operations of its owner. */
export interface OwnedLog extends Log {
  /** The lowest level that is written; a reload may change it. */
  level: LogLevel;
  /** Writes the summaries that are still pending, at the end. */
  flush(): void;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warning: 2, error: 3 };

/** The most different warnings or errors of one event in a window. */
const BURST = 10;

/** The length of a window, which doubles while there is something to summarise. Milliseconds. */
const WINDOW_MS = { first: 1_000, last: 60_000 };

/**
 * Events that recur while all is well. Any other event at level info may end a condition that is
 * still to be summarised.
 */
const ROUTINE: ReadonlySet<string> = new Set(["login", "purged"]);

/**
 * A log that an outage cannot flood. It writes a warning or an error at once. It counts the same
 * line again within a second, or more than ten different lines of one event, and when the time is
 * up writes the last of them with `repeated=N`. While they continue, it writes one every 2, 4, ...
 * 60 seconds. The lines keep their order: a summary is written before an event that may end its
 * condition (`store-back`).
 *
 * No call waits or throws: lines that cannot be written are counted, and reported once writing
 * works again.
 */
export function createLog(options: LogOptions): OwnedLog {
  return new LineLog(options);
}

/** The recent lines of one event. */
interface Series {
  readonly level: LogLevel;
  /** Lines written in this window. */
  written: Set<string>;
  /** The number of lines not written in this window, and the last of them. */
  held: number;
  last: string;
  /** The length of the window, in milliseconds. */
  window: number;
}

class LineLog implements OwnedLog {
  level: LogLevel;
  readonly #style: LineStyle;
  readonly #write: (line: string) => boolean;
  /** By event, whose number is bounded by the program's. */
  readonly #series = new Map<string, Series>();
  #lost = 0;

  constructor({ level, style, write }: LogOptions) {
    this.level = level;
    this.#style = style;
    this.#write = write;
  }

  debug(event: string, fields: Fields = {}): void {
    if (this.#wants("debug")) this.#put("debug", eventText(event, fields));
  }

  info(event: string, fields: Fields = {}): void {
    if (!this.#wants("info")) return;
    if (!ROUTINE.has(event)) this.flush();
    this.#put("info", eventText(event, fields));
  }

  warning(event: string, fields: Fields = {}): void {
    if (this.#wants("warning")) this.#sparingly("warning", event, eventText(event, fields));
  }

  error(event: string, fields: Fields = {}): void {
    if (this.#wants("error")) this.#sparingly("error", event, eventText(event, fields));
  }

  flush(): void {
    for (const series of this.#series.values()) this.#sumUp(series);
  }

  #wants(level: LogLevel): boolean {
    return RANK[level] >= RANK[this.level];
  }

  #sparingly(level: LogLevel, event: string, text: string): void {
    const key = `${level} ${event}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { level, written: new Set(), held: 0, last: "", window: WINDOW_MS.first };
      this.#series.set(key, series);
      this.#await(key, series);
    }
    if (series.written.has(text) || series.written.size >= BURST) {
      series.held += 1;
      series.last = text;
    } else {
      series.written.add(text);
      this.#put(level, text);
    }
  }

  #await(key: string, series: Series): void {
    setTimeout(() => {
      if (series.held === 0) {
        this.#series.delete(key);
        return;
      }
      this.#sumUp(series);
      series.written = new Set([series.last]);
      series.window = Math.min(series.window * 2, WINDOW_MS.last);
      this.#await(key, series);
    }, series.window).unref();
  }

  #sumUp(series: Series): void {
    if (series.held > 0) this.#put(series.level, `${series.last} repeated=${series.held}`);
    series.held = 0;
  }

  #put(level: LogLevel, text: string): void {
    if (this.#lost > 0 && this.#write(this.#style("warning", `log-lines-lost count=${this.#lost}`)))
      this.#lost = 0;
    if (!this.#write(this.#style(level, text))) this.#lost += 1;
  }
}
