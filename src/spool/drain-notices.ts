/** What a drain tells wrappers that wait for it, in files of the spool, which spool.ts lists. */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { EX, PopbsmtpError, hasCode, reasonOf } from "../lib/errors.ts";
import { isOwnDirectory, readSmallFile } from "../system/own-files.ts";
import { isSameProcess, processStartTime } from "../system/process-identity.ts";
import { runProgram } from "../system/run-program.ts";

/** The number of names that are read from a spool at a time. */
export const PAGE = 512;

/** The number of FIFOs, which the launcher knows too. */
const FIFOS = 64;

/** The kind of a running drain: one for a while, a process that watches a log, or the daemon. */
export type DrainKind = "drain" | "watch" | "serve";

/**
 * The signal with which a daemon that wants to drain asks the running drain to stop: it ends a
 * drain, while a process that watches a log only stops draining.
 */
export const GIVE_WAY = { drain: "SIGTERM", watch: "SIGUSR2" } as const;

export class DrainNotices {
  readonly #path: string;
  /** Whether wrappers can be notified of commits: the FIFOs exist, and are this user's. */
  #hasFifos: boolean | undefined;
  #isAdvertised = false;

  /** @param path the spool's directory */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Tells wrappers, once, that this process, which has `lock` open, drains. On a full disk that has
   * to wait: the spool is drained anyway, which frees space.
   */
  advertise(lock: number, kind: DrainKind): void {
    if (this.#isAdvertised) return;
    const startTime = processStartTime(process.pid);
    try {
      this.#replace(".pid", (path) =>
        writeFileSync(path, `${process.pid} ${startTime}\n${kind}\n`, { flag: "wx" }),
      );
      this.#replace(".drain", (path) => symlinkSync(`/proc/${process.pid}/fd/${lock}`, path));
    } catch (error) {
      if (isFull(error)) return;
      throw spoolFailure(error);
    }
    this.#isAdvertised = true;
  }

  /**
   * Removes the wrappers' announcements of starts, which are complete: if this process is killed,
   * the next drain may start at once.
   */
  async clearStarts(): Promise<void> {
    try {
      for await (const { name } of await opendir(this.#path, { bufferSize: PAGE })) {
        if (!name.startsWith(".start-")) continue;
        quietly(() => unlinkSync(join(this.#path, name)));
      }
    } catch (error) {
      throw spoolFailure(error);
    }
  }

  /**
   * Reverts {@link advertise}. A login written before is in the spool already; a later one starts
   * another drain. In a spool that is missing or closed to this process, the files stay, and lead
   * nowhere once the lock is released.
   */
  withdraw(): void {
    this.#isAdvertised = false;
    for (const name of [".drain", ".pid"]) {
      quietly(() => rmSync(join(this.#path, name), { force: true }));
    }
  }

  /** The process id of the running drain, if any; with `kind`, only if it is of that kind. */
  atWork(kind?: DrainKind): number | undefined {
    try {
      const [first = "", second] = readSmallFile(join(this.#path, ".pid")).split("\n");
      const [pid = "", startTime] = first.split(" ");
      if (kind !== undefined && second !== kind) return undefined;
      return isSameProcess(Number(pid), startTime) ? Number(pid) : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Tells wrappers not to wait, and what to report instead; undefined: all is well. Never throws:
   * if the disk is full or the spool missing, they wait as for a slow store.
   */
  setAway(why: string | undefined): void {
    this.#leaveWord(".away", why);
  }

  /**
   * Makes every wrapper report `what`, although logins are drained; undefined: nothing to report.
   * Never throws.
   */
  setNotice(what: string | undefined): void {
    this.#leaveWord(".notice", what);
  }

  #leaveWord(name: string, word: string | undefined): void {
    const path = join(this.#path, name);
    quietly(() => {
      if (word === undefined) {
        // also another process's file, since only the drain knows
        if (existsSync(path)) rmSync(path, { force: true });
      } else {
        const line = word.replaceAll(/\s+/g, " ").slice(0, 500);
        this.#replace(name, (file) => writeFileSync(file, `${line}\n`, { flag: "wx" }));
      }
    });
  }

  /** The last argument of {@link setAway}. */
  away(): string | undefined {
    try {
      return readSmallFile(join(this.#path, ".away")).trim();
    } catch {
      return undefined;
    }
  }

  /** Creates the missing FIFOs on which wrappers sleep. */
  async makeFifos(): Promise<void> {
    if (this.#hasFifos === true) return;
    const directory = join(this.#path, ".ack");
    this.#hasFifos = isOwnDirectory(directory);
    // wrappers work without another user's FIFOs
    if (lstatSync(directory, { throwIfNoEntry: false }) !== undefined) return;
    const unfinished = mkdtempSync(`${directory}.`);
    chmodSync(unfinished, 0o755);
    const names = Array.from({ length: FIFOS }, (_, number) => join(unfinished, String(number)));
    // Node has no mkfifo(2). Every user who can write a login may wait for it; the mode of the
    // spool decides who can
    const made = await runProgram("mkfifo", ["-m", "0666", ...names]);
    if (made?.ok !== true) throw new Error(`mkfifo: ${made?.complaint ?? "not installed"}`);
    renameSync(unfinished, directory);
    this.#hasFifos = true;
  }

  /** Tells the wrapper with this process id that its login is committed. */
  acknowledge(pid: number): void {
    this.#hasFifos ??= isOwnDirectory(join(this.#path, ".ack"));
    if (!this.#hasFifos) return;
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
      const descriptor = openSync(join(this.#path, ".ack", String(pid % FIFOS)), flags);
      try {
        writeSync(descriptor, "\n");
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // ENXIO: no wrapper waits (any longer). A waiting one also looks at its file every 10 ms
    }
  }

  #replace(name: string, create: (path: string) => void): void {
    const unfinished = join(this.#path, `${name}.${process.pid}`);
    rmSync(unfinished, { force: true });
    try {
      create(unfinished);
      renameSync(unfinished, join(this.#path, name));
    } catch (error) {
      quietly(() => rmSync(unfinished, { force: true }));
      throw error;
    }
  }
}

/** The spool is missing, or closed to this process. */
export function spoolFailure(cause: unknown): PopbsmtpError {
  return new PopbsmtpError(`spool: ${reasonOf(cause)}`, EX.NOPERM, { cause });
}

/** For actions whose failure does not matter. */
function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // see above
  }
}

function isFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC") || hasCode(error, "EDQUOT");
}
