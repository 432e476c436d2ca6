/** What is wrong with a daemon that goes on nevertheless: said in its log and to systemd, and left in the spool for others to read. */
import { constants, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "./log/log.ts";

/** How often what stays wrong is logged again. Milliseconds. */
const REMIND_MS = 600_000;

export class Problems {
  readonly #log: Log;
  /** When each was logged last, by performance.now(). */
  readonly #logged = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Logs those that are new and those that have gone, and now and then the others.
   *
   * @param event what a problem is called in the log
   * @returns whether any has come or gone
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

/** Leaves them in a spool: a line for each. */
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
    // the spool is missing, full or not to be written to
  }
}

/** What the daemon that is at work at a spool has left there. Neither follows a link nor waits for the other end of a FIFO. */
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
