import type { Terminal } from "../../../src/lib/terminal.ts";

/** A terminal that remembers what it was sent. */
export interface Recorder extends Terminal {
  readonly printed: readonly string[];
  readonly noted: readonly string[];
  readonly shown: readonly string[];
}

/** By default what cron has: nobody reads, nothing is coloured. */
export function recorder(options: Partial<Pick<Terminal, "interactive" | "color">> = {}): Recorder {
  const printed: string[] = [];
  const noted: string[] = [];
  const shown: string[] = [];
  return {
    printed,
    noted,
    shown,
    print: (line) => void printed.push(line),
    note: (line) => void noted.push(line),
    progress: (text) => void shown.push(text),
    interactive: options.interactive ?? false,
    color: options.color ?? false,
  };
}
