/**
 * Where a watched log's logins go into the spool, each once, whenever the process is killed.
 *
 * A directory of the spool, `.watch-<hash of the log's path>/`, has
 *
 *     position       how far the log has been read, what is to be remembered of its lines, and the names of the logins handed over last
 *     <µs>.<n>       these logins, until they are moved into the spool
 *     .lock          held by the process that watches (spool/lock.ts)
 *
 * The logins are written first, then `position` is replaced, which is the moment from which they count as read, then they are moved.
 * Whoever comes after a crash moves those that `position` names and that are still there, and deletes the others: their lines will be
 * read again.
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
import type { Place } from "./log-file.ts";

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
  #place: Place | undefined;
  /** What was remembered there; undefined where that is not known. */
  readonly fragments: FragmentsState | undefined;
  /** Names of logins that count as read and are perhaps not in the spool yet. */
  #unmoved: readonly string[] = [];

  /**
   * Opens what there is about `log` in `spool`, and finishes what a process that was killed has left.
   *
   * @throws PopbsmtpError (75) where another process watches that log, (77) where the spool is missing or may not be written to
   */
  static async open(spool: string, log: string): Promise<Handover> {
    const hash = createHash("sha256").update(log).digest("hex").slice(0, 16);
    const directory = join(spool, `.watch-${hash}`);
    inSpool(() => ownDirectory(directory, 0o700));
    // a daemon or a cron job may be about to end
    const lock = await lockSpoolSoon(directory, () => true);
    if (lock === undefined) {
      throw new PopbsmtpError(`${log}: another popbsmtp watches it`, EX.TEMPFAIL);
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

  /** How far the log has been read; undefined where nobody has. */
  get place(): Place | undefined {
    return this.#place;
  }

  /**
   * Puts logins into the spool, and remembers how far the log has been read with them. All or nothing.
   *
   * @throws PopbsmtpError (77) where the spool does not take them
   */
  handOver(logins: readonly Login[], place: Place, fragments: FragmentsState): void {
    const names = new Set<string>();
    inSpool(() => {
      // left by a spool that could not be moved into
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
      // they count as read: to be moved the next time
    }
  }

  #move(): void {
    for (const name of this.#unmoved) {
      try {
        renameSync(join(this.#directory, name), join(this.#spool, name));
      } catch (error) {
        // moved already
        if (!hasCode(error, "ENOENT")) throw error;
      }
    }
    this.#unmoved = [];
  }

  [Symbol.dispose](): void {
    this.#lock.release();
  }
}

/** Made from the login, in place of a process id and larger than any: the same one has the same name, and different ones do not meet. */
function entryName(login: Login): string {
  const hash = createHash("sha256").update(formatEntry(login)).digest().readUInt32BE();
  return `${String(Math.round(login.time * 1000)).padStart(16, "0")}.${5_000_000_000 + hash}`;
}

/** undefined also for one that makes no sense: then the log is read from its beginning, and the lines' times say what counts. */
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
