import { basename } from "node:path";
import type { Log } from "./log.ts";

/** The calls of a stack that fit on a line of the log. */
const FRAMES = 8;

/**
 * Logs uncaught exceptions, and keeps the daemon running, until disposed of.
 *
 * One connection or one part of the daemon may be broken then. But if the daemon exited, it would
 * reject the current logins, and every later one unless it is restarted; so only a signal ends it.
 */
export function survivingErrors(log: Log): Disposable {
  // includes unhandled rejections, which Node turns into exceptions
  const tell = (error: unknown) => {
    log.error("internal-error", {
      reason: error instanceof Error ? error.message : String(error),
      stack: error instanceof Error ? frames(error).join(" < ") : undefined,
    });
  };
  process.on("uncaughtException", tell);
  return { [Symbol.dispose]: () => void process.off("uncaughtException", tell) };
}

/** `name file:line:column`, innermost call first. */
function frames({ stack = "" }: Error): readonly string[] {
  const calls = Array.from(stack.matchAll(/^ +at (?:(?:async )?(\S+) \()?(.*?)\)?$/gm));
  return calls
    .slice(0, FRAMES)
    .map(([, name = "", place = ""]) => `${name} ${basename(place)}`.trim());
}
