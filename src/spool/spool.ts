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
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { EX, PopbsmtpError, reasonOf, hasCode } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import { ownDirectory } from "../system/own-files.ts";
import { Backlog } from "./backlog.ts";
import { DrainNotices, PAGE, spoolFailure } from "./drain-notices.ts";
import { ENTRY_BYTES, formatEntry, parseEntryName, type EntryName } from "./entry.ts";

/** The number of removed files whose names are remembered. */
const REMEMBERED = 10_000;

export class Spool {
  readonly path: string;
  /** What a drain tells wrappers. */
  readonly drain: DrainNotices;
  /** Files that could be neither drained nor set aside; this process does not try them again. */
  readonly #stuck = new Set<string>();
  /**
   * The names of recently removed files: their removal is announced like any other change, and they
   * never return.
   */
  readonly #removed = new Set<string>();
  readonly #buffer = Buffer.alloc(ENTRY_BYTES + 1);

  constructor(path: string) {
    this.path = path;
    this.drain = new DrainNotices(path);
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
      throw spoolFailure(cause);
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
      throw spoolFailure(cause);
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
    this.drain.acknowledge(pid);
  }

  /** Whether {@link remove} has recently removed it. */
  hasRemoved(name: string): boolean {
    return this.#removed.has(name);
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
}

function isGone(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}
