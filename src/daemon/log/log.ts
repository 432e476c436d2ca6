/** The daemon's log: one line per event, on stderr, as key=value. */
import { eventText, type LineStyle } from "./log-line.ts";

export type Level = "debug" | "info" | "warning" | "error";

/** What an event carries besides its name; undefined values are left out. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warning(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

export interface LogOptions {
  /** The least level that is written. */
  readonly level: Level;
  /** What a line looks like to whoever reads it. */
  readonly style: LineStyle;
  /** Takes a line, with its newline; false: it could not be written and is lost. */
  readonly write: (line: string) => boolean;
}

/** The log, and what only its owner does with it. */
export interface OwnedLog extends Log {
  /** The least level that is written; a reload may change it. */
  level: Level;
  /** Writes the sums of repeated lines that are still owed: for the end. */
  flush(): void;
}

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warning: 2, error: 3 };

/** How many different warnings or errors of one event are written in a window. */
const BURST = 10;

/** A window is at first this long, and doubles for as long as there is something to sum up in it. Milliseconds. */
const WINDOW_MS = { first: 1_000, last: 60_000 };

/** What is told of again and again while all is well. Any other event at level info may end what is still to be summed up. */
const ROUTINE: ReadonlySet<string> = new Set(["login", "purged"]);

/**
 * A log that an outage does not fill the disk with. A warning or an error is written at once; the same line again within a second,
 * or more than ten of one event, are counted, and the last of them is written when the time is up, with `repeated=` so many.
 * While that goes on it is written every 2, 4, ... 60 seconds. Lines come in the order of what they report: what was counted is
 * written before an event that may end it (`store-back`).
 *
 * Nothing here waits or throws: lines that cannot be written are counted, and told when others can be again.
 */
export function createLog(options: LogOptions): OwnedLog {
  return new LineLog(options);
}

/** The lines of one event lately. */
interface Series {
  readonly level: Level;
  /** Written in this window. */
  written: Set<string>;
  /** Not written in this window, and the last of them. */
  held: number;
  last: string;
  /** How long the window is. Milliseconds. */
  window: number;
}

class LineLog implements OwnedLog {
  level: Level;
  readonly #style: LineStyle;
  readonly #write: (line: string) => boolean;
  /** By event, of which there are as many as this program has names for. */
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

  #wants(level: Level): boolean {
    return RANK[level] >= RANK[this.level];
  }

  #sparingly(level: Level, event: string, text: string): void {
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

  #put(level: Level, text: string): void {
    if (this.#lost > 0 && this.#write(this.#style("warning", `log-lines-lost count=${this.#lost}`)))
      this.#lost = 0;
    if (!this.#write(this.#style(level, text))) this.#lost += 1;
  }
}
