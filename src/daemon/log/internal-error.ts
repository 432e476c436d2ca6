import { basename } from "node:path";
import type { Log } from "./log.ts";

/** So many calls of a stack fit on a line of the log. */
const FRAMES = 8;

/**
 * Logs what nobody has caught, and goes on, until it is disposed of.
 *
 * One connection or one part of the daemon may be the worse for it. A daemon that ended would refuse the logins in hand, and
 * every login after them where nobody starts it again; only a signal ends it.
 */
export function survivingErrors(log: Log): Disposable {
  // of promises, too: Node makes an exception of a rejection that nobody handles
  const tell = (error: unknown) => {
    log.error("internal-error", {
      reason: error instanceof Error ? error.message : String(error),
      stack: error instanceof Error ? frames(error).join(" < ") : undefined,
    });
  };
  process.on("uncaughtException", tell);
  return { [Symbol.dispose]: () => void process.off("uncaughtException", tell) };
}

/** `name file:line:column`, the innermost call first. */
function frames({ stack = "" }: Error): readonly string[] {
  const calls = Array.from(stack.matchAll(/^ +at (?:(?:async )?(\S+) \()?(.*?)\)?$/gm));
  return calls
    .slice(0, FRAMES)
    .map(([, name = "", place = ""]) => `${name} ${basename(place)}`.trim());
}
