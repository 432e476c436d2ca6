/**
 * The directory in which logins wait to be drained.
 *
 *     <µs>.<pid>     a login (entry.ts)
 *     bad/           files that were set aside, each with the reason in `<name>.why`
 *     .drain         a link to a descriptor of the running drain (/proc/PID/fd/N), which leads to
 *                    .lock while it is alive
 *     .pid           its process id and start time, for users who cannot read that directory
 *     .away          exists while the store is away: one line with the reason, which wrappers print
 *                    instead of waiting
 *     .notice        one line that wrappers print although logins are drained: the drain runs with
 *                    an old configuration
 *     .ack/0 - 63    FIFOs: a byte in number pid % 64 reports that a login of that process has been
 *                    committed
 *     .lock          held by the running drain (lock.ts)
 *     .problems      the problems of the running daemon (daemon/problems.ts)
 *     .in-hand-*     logins that a daemon is handling (in-hand.ts)
 *     .code-*        compiled code, so that the next drain starts in half the time (start.ts)
 *     .start-<s>     the second in which a wrapper started a drain
 *     .watch-<hash>/ how far a mail log has been read (sources/mail-log/handover.ts)
 *     .revoked/      revocations, for a store that cannot record them (revocations.ts)
 *     stores/        with several stores, a spool for each (src/writers/store-spools.ts)
 */
import {
  closeSync,
  constants,
  chmodSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { EX, PopbsmtpError, reasonOf, hasCode } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { Backlog } from "./backlog.ts";
import { ENTRY_BYTES, formatEntry, parseEntryName, type EntryName } from "./entry.ts";
import { isOwnDirectory, ownDirectory, readSmallFile } from "../system/own-files.ts";
import { isSameProcess, processStartTime } from "../system/process-identity.ts";
import { runProgram } from "../system/run-program.ts";

/** The number of removed files whose names are remembered. */
const REMEMBERED = 10_000;

/** The number of names that are read from the directory at a time. */
const PAGE = 512;

/** The number of FIFOs, which the launcher knows too. */
const FIFOS = 64;

/** The kind of a running drain: one for a while, a process that watches a log, or the daemon. */
export type DrainKind = "drain" | "watch" | "serve";

/**
 * The signal with which a daemon that wants to drain asks the running drain to stop: it ends a
 * drain, while a process that watches a log only stops draining.
 */
export const GIVE_WAY = { drain: "SIGTERM", watch: "SIGUSR2" } as const;

export class Spool {
  readonly path: string;
  /** Files that could be neither drained nor set aside; this process does not try them again. */
  readonly #stuck = new Set<string>();
  /**
   * The names of recently removed files: their removal is announced like any other change, and they
   * never return.
   */
  readonly #removed = new Set<string>();
  readonly #buffer = Buffer.alloc(ENTRY_BYTES + 1);
  /** Whether wrappers can be notified of commits: the FIFOs exist, and are this user's. */
  #hasFifos: boolean | undefined;
  #isAdvertised = false;

  constructor(path: string) {
    this.path = path;
  }

  /** The waiting logins, oldest first, and the names of other files. */
  scan(): { readonly entries: EntryName[]; readonly foreign: string[] } {
    const entries: EntryName[] = [];
    const foreign: string[] = [];
    for (const file of this.#names()) {
      if (this.#stuck.has(file.name)) continue;
      const entry = parseEntryName(file.name);
      if (entry !== undefined) entries.push(entry);
      else if (!file.name.startsWith(".") && !file.isDirectory()) foreign.push(file.name);
    }
    entries.sort((a, b) => a.time - b.time);
    return { entries, foreign };
  }

  #names() {
    try {
      return readdirSync(this.path, { withFileTypes: true });
    } catch (cause) {
      throw failed(cause);
    }
  }

  /**
   * The same, read in portions, for a process that serves clients meanwhile.
   *
   * @throws PopbsmtpError (77) if the spool is missing or cannot be read
   */
  async survey(): Promise<{ readonly backlog: Backlog; readonly foreign: readonly string[] }> {
    const backlog = new Backlog();
    const foreign: string[] = [];
    try {
      for await (const file of await opendir(this.path, { bufferSize: PAGE })) {
        const { name } = file;
        if (this.#stuck.has(name)) continue;
        if (parseEntryName(name) !== undefined) backlog.add(name);
        else if (!name.startsWith(".") && !file.isDirectory()) foreign.push(name);
      }
    } catch (cause) {
      throw failed(cause);
    }
    return { backlog, foreign };
  }

  /** Records a login, as a wrapper does. Throws if that fails: the login is then not recorded. */
  write(login: Login): void {
    const { path, descriptor } = this.#create(login.time);
    try {
      writeFileSync(descriptor, formatEntry(login));
    } catch (error) {
      // the disk is full, and an incomplete file is useless
      rmSync(path, { force: true });
      throw error;
    } finally {
      closeSync(descriptor);
    }
  }

  #create(loginTime: number): { readonly path: string; readonly descriptor: number } {
    for (let time = Math.round(loginTime * 1000); ; time++) {
      const path = join(this.path, `${time}.${process.pid}`);
      try {
        return { path, descriptor: openSync(path, "wx", 0o600) };
      } catch (error) {
        // another login came at the same time
        if (!hasCode(error, "EEXIST")) throw error;
      }
    }
  }

  /**
   * The contents of a login's file; undefined if it is gone. Throws if it is unreadable, not a
   * file, or too long.
   */
  read(name: string): Buffer | undefined {
    let descriptor;
    try {
      // neither follows a link nor waits for a FIFO
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      descriptor = openSync(join(this.path, name), flags);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
    try {
      if (!fstatSync(descriptor).isFile()) throw new Error("not a file");
      const length = readSync(descriptor, this.#buffer);
      if (length > ENTRY_BYTES) throw new Error(`longer than ${ENTRY_BYTES} bytes`);
      return Buffer.from(this.#buffer.subarray(0, length));
    } finally {
      closeSync(descriptor);
    }
  }

  /** Removes a committed login, for which its wrapper waits. */
  remove({ name, pid }: EntryName): void {
    try {
      unlinkSync(join(this.path, name));
    } catch (cause) {
      if (!isGone(cause)) {
        this.#stuck.add(name);
        throw new PopbsmtpError(
          `spool: cannot remove a committed login: ${reasonOf(cause)}`,
          EX.NOPERM,
          {
            cause,
          },
        );
      }
    }
    if (this.#removed.size >= REMEMBERED) this.#removed.clear();
    this.#removed.add(name);
    this.#acknowledge(pid);
  }

  /** Whether {@link remove} has recently removed it. */
  hasRemoved(name: string): boolean {
    return this.#removed.has(name);
  }

  #acknowledge(pid: number): void {
    this.#hasFifos ??= isOwnDirectory(join(this.path, ".ack"));
    if (!this.#hasFifos) return;
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
      const descriptor = openSync(join(this.path, ".ack", String(pid % FIFOS)), flags);
      try {
        writeSync(descriptor, "\n");
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // ENXIO: no wrapper waits (any longer). A waiting one also looks at its file every 10 ms
    }
  }

  /** Moves a file out of the way, with the reason next to it. Returns a description for the log. */
  setAside(name: string, why: string): string {
    try {
      ownDirectory(join(this.path, "bad"), 0o700);
      renameSync(join(this.path, name), join(this.path, "bad", name));
      writeFileSync(join(this.path, "bad", `${name}.why`), `${why}\n`);
      return `spool: ${JSON.stringify(name)} set aside in ${join(this.path, "bad")}: ${why}`;
    } catch (error) {
      this.#stuck.add(name);
      return `spool: ${JSON.stringify(name)} skipped (${why}), because it cannot be set aside: ${reasonOf(error)}`;
    }
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
      throw failed(error);
    }
    this.#isAdvertised = true;
  }

  /**
   * Removes the wrappers' announcements of starts, which are complete: if this process is killed,
   * the next drain may start at once.
   */
  async clearStarts(): Promise<void> {
    try {
      for await (const { name } of await opendir(this.path, { bufferSize: PAGE })) {
        if (!name.startsWith(".start-")) continue;
        quietly(() => unlinkSync(join(this.path, name)));
      }
    } catch (error) {
      throw failed(error);
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
      quietly(() => rmSync(join(this.path, name), { force: true }));
    }
  }

  /** The process id of the running drain, if any; with `kind`, only if it is of that kind. */
  drainAtWork(kind?: DrainKind): number | undefined {
    try {
      const [first = "", second] = readSmallFile(join(this.path, ".pid")).split("\n");
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
    const path = join(this.path, name);
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
      return readSmallFile(join(this.path, ".away")).trim();
    } catch {
      return undefined;
    }
  }

  /** Creates the missing FIFOs on which wrappers sleep. */
  async makeFifos(): Promise<void> {
    if (this.#hasFifos === true) return;
    const directory = join(this.path, ".ack");
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

  #replace(name: string, create: (path: string) => void): void {
    const unfinished = join(this.path, `${name}.${process.pid}`);
    rmSync(unfinished, { force: true });
    try {
      create(unfinished);
      renameSync(unfinished, join(this.path, name));
    } catch (error) {
      quietly(() => rmSync(unfinished, { force: true }));
      throw error;
    }
  }
}

function failed(cause: unknown): PopbsmtpError {
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

function isGone(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

function isFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC") || hasCode(error, "EDQUOT");
}
