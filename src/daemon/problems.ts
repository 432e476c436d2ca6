/**
 * The problems of a daemon that runs nevertheless: logged, passed to systemd, and left in the spool
 * for other processes.
 */
import { constants, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "./log/log.ts";

/** How often a persistent problem is logged. Milliseconds. */
const REMIND_MS = 600_000;

export class Problems {
  readonly #log: Log;
  /** When each was last logged, by performance.now(). */
  readonly #logged = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Logs new and solved problems, and persistent ones from time to time.
   *
   * @param event the log event of a problem
   * @returns whether any problem is new or solved
   */
  report(problems: readonly string[], event = "problem"): boolean {
    const now = performance.now();
    const gone = [...this.#logged.keys()].filter((known) => !problems.includes(known));
    const isNews = gone.length > 0 || problems.some((problem) => !this.#logged.has(problem));
    for (const problem of gone) {
      this.#logged.delete(problem);
      this.#log.info("problem-over", { reason: problem });
    }
    for (const reason of problems) {
      if (now - (this.#logged.get(reason) ?? -Infinity) < REMIND_MS) continue;
      this.#logged.set(reason, now);
      this.#log.error(event, { reason });
    }
    return isNews;
  }
}

/** Writes the problems into a spool, one per line. */
export function writeProblems(spool: string, problems: readonly string[]): void {
  const file = join(spool, ".problems");
  const unfinished = `${file}.${process.pid}`;
  try {
    rmSync(unfinished, { force: true });
    if (problems.length === 0) {
      rmSync(file, { force: true });
      return;
    }
    const lines = problems.map((problem) => `${problem.replaceAll(/\s+/g, " ")}\n`);
    writeFileSync(unfinished, lines.join(""), { flag: "wx", mode: 0o600 });
    renameSync(unfinished, file);
  } catch {
    // the spool is missing, full or not writable
  }
}

/**
 * The problems that the running daemon of a spool has left there. Neither follows links nor waits
 * for a FIFO.
 */
export function readProblems(spool: string): readonly string[] {
  try {
    const flag = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return readFileSync(join(spool, ".problems"), { encoding: "utf8", flag })
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
