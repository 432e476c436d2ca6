/**
 * Moves the logins of a watched log into the spool, each once, even if the process is killed.
 *
 * The directory `.watch-<hash of the log's path>/` in the spool contains
 *
 *     position       how far the log has been read, the state after those lines, and the names of
 *                    the last logins
 *     <µs>.<n>       these logins, until they are moved into the spool
 *     .lock          held by the process that watches (spool/lock.ts)
 *
 * It writes the logins first, then replaces `position`, from when on they count as read, then moves
 * them. After a crash, the next process moves the remaining logins that `position` names, and
 * deletes the others, whose lines it reads again.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { EX, PopbsmtpError, reasonOf, hasCode } from "../../lib/errors.ts";
import type { Login } from "../../login/login.ts";
import { formatEntry, parseEntryName } from "../../spool/entry.ts";
import { lockSpoolSoon, type SpoolLock } from "../../spool/lock.ts";
import { fragmentsSchema, type FragmentsState } from "../../mail-formats/fragments.ts";
import { ownDirectory } from "../../system/own-files.ts";
import type { LogPosition } from "./log-file.ts";

const text = v.string();
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const positionSchema = v.object({
  log: text,
  place: v.object({
    device: text,
    inode: text,
    head: v.object({ bytes: count, sha256: text }),
    offset: count,
    lines: count,
    modified: v.number(),
  }),
  // earlier versions did not write it
  fragments: v.optional(fragmentsSchema),
  logins: v.array(text),
});

export class Handover implements Disposable {
  readonly #spool: string;
  readonly #directory: string;
  readonly #log: string;
  readonly #lock: SpoolLock;
  #place: LogPosition | undefined;
  /** The state of the lines before; undefined if unknown. */
  readonly fragments: FragmentsState | undefined;
  /** The names of logins that count as read, but may not be in the spool yet. */
  #unmoved: readonly string[] = [];

  /**
   * Opens the state of `log` in `spool`, and completes what a killed process has left.
   *
   * @throws PopbsmtpError (75) if another process watches that log, (77) if the spool is missing or
   * cannot be written to
   */
  static async open(spool: string, log: string): Promise<Handover> {
    const hash = createHash("sha256").update(log).digest("hex").slice(0, 16);
    const directory = join(spool, `.watch-${hash}`);
    inSpool(() => ownDirectory(directory, 0o700));
    // the other daemon or cron job may be about to exit
    const lock = await lockSpoolSoon(directory, () => true);
    if (lock === undefined) {
      throw new PopbsmtpError(`${log}: another popbsmtp is watching it`, EX.TEMPFAIL);
    }
    try {
      return new Handover(spool, directory, log, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  private constructor(spool: string, directory: string, log: string, lock: SpoolLock) {
    this.#spool = spool;
    this.#directory = directory;
    this.#log = log;
    this.#lock = lock;
    const position = readPosition(join(directory, "position"));
    this.#place = position?.place;
    this.fragments = position?.fragments;
    this.#unmoved = position?.logins ?? [];
    inSpool(() => {
      this.#move();
      for (const name of readdirSync(directory)) {
        if (parseEntryName(name) !== undefined) rmSync(join(directory, name));
      }
    });
  }

  /** How far the log has been read; undefined if it has not been read. */
  get place(): LogPosition | undefined {
    return this.#place;
  }

  /**
   * Puts logins into the spool, and remembers how far the log has been read, all or nothing.
   *
   * @throws PopbsmtpError (77) if the spool cannot be written to
   */
  handOver(logins: readonly Login[], place: LogPosition, fragments: FragmentsState): void {
    const names = new Set<string>();
    inSpool(() => {
      // an earlier move may have failed
      this.#move();
      for (const login of logins) {
        const name = entryName(login);
        writeFileSync(join(this.#directory, name), formatEntry(login), { mode: 0o600 });
        names.add(name);
      }
      const position = { log: this.#log, place, fragments, logins: [...names] };
      const unfinished = join(this.#directory, "position.new");
      writeFileSync(unfinished, `${JSON.stringify(position)}\n`, { mode: 0o600 });
      renameSync(unfinished, join(this.#directory, "position"));
    });
    this.#place = place;
    this.#unmoved = [...names];
    try {
      this.#move();
    } catch {
      // they count as read, and the next call moves them
    }
  }

  #move(): void {
    for (const name of this.#unmoved) {
      try {
        renameSync(join(this.#directory, name), join(this.#spool, name));
      } catch (error) {
        // already moved
        if (!hasCode(error, "ENOENT")) throw error;
      }
    }
    this.#unmoved = [];
  }

  [Symbol.dispose](): void {
    this.#lock.release();
  }
}

/**
 * The name of a login's file: the hash replaces a process id, and exceeds them all. Equal logins
 * have the same name, and different logins have different names.
 */
function entryName(login: Login): string {
  const hash = createHash("sha256").update(formatEntry(login)).digest().readUInt32BE();
  return `${String(Math.round(login.time * 1000)).padStart(16, "0")}.${5_000_000_000 + hash}`;
}

/**
 * undefined also for an invalid file: then the log is read from its beginning, and the time of each
 * line decides whether it counts.
 */
function readPosition(path: string): v.InferOutput<typeof positionSchema> | undefined {
  try {
    const position = v.parse(positionSchema, JSON.parse(readFileSync(path, "utf8")));
    return position.logins.every((name) => parseEntryName(name) !== undefined)
      ? position
      : undefined;
  } catch {
    return undefined;
  }
}

function inSpool(work: () => void): void {
  try {
    work();
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new PopbsmtpError(`spool: ${reason}`, EX.NOPERM, { cause });
  }
}
