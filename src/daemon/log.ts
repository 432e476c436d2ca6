/** The daemon's log: one line per event, on stderr, as key=value. */

export type Level = "debug" | "info" | "warning" | "error";

/** What an event carries besides its name; undefined values are left out. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warning(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}
