/**
 * Revocations for a store that cannot record them: an administrator's own table, or relay-ctrl's
 * directory. They are valid on this host.
 *
 *     .revoked/<ms>.<id>              a revocation: address and user in JSON, null for any
 *     .revoked/writing.<pid>.<id>     a process is writing logins that it has compared with earlier
 *                                     revocations
 */
import { randomUUID } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import type { Time } from "../lib/clock.ts";
import { StoreAwayError, hasCode } from "../lib/errors.ts";
import { REVOCATION_KEPT_MS } from "../login/login.ts";
import type { Login } from "../login/login.ts";
import { reasonOf } from "../lib/errors.ts";
import { isAlive } from "../system/process-identity.ts";

/** A revocation further ahead than this was made before the clock was set back. Milliseconds. */
const AHEAD_MS = 60_000;

/**
 * No statement takes longer, so a process that has been writing for this time has died.
 * Milliseconds.
 */
const WRITING_MS = 30_000;

const MARK = v.object({ address: v.nullable(v.string()), user: v.nullable(v.string()) });

type Mark = v.InferOutput<typeof MARK>;

export class Revocations {
  readonly #path: string;
  /** By the names of their files, whose contents never change. */
  #known = new Map<string, Mark | undefined>();

  /** @param spool the store's spool */
  constructor(spool: string) {
    this.#path = join(spool, ".revoked");
  }

  /**
   * Records a revocation of all logins until now, so that it survives a power cut, and forgets
   * those older than a week.
   */
  add(mark: Mark, now: Time): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o755 });
    const name = `${Math.ceil(now)}.${randomUUID()}`;
    const unfinished = join(this.#path, `.${name}`);
    writeFileSync(unfinished, JSON.stringify(mark), { flag: "wx", mode: 0o644, flush: true });
    renameSync(unfinished, join(this.#path, name));
    const directory = openSync(this.#path, "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
    for (const other of this.#names()) {
      if (now - timeOf(other) > REVOCATION_KEPT_MS)
        rmSync(join(this.#path, other), { force: true });
    }
  }

  /**
   * The logins that have not been revoked since they were made.
   *
   * @throws StoreAwayError if that is unknown
   */
  remaining(logins: readonly Login[], now: Time): readonly Login[] {
    const known = new Map<string, Mark | undefined>();
    for (const name of this.#names()) {
      if (timeOf(name) - now <= AHEAD_MS)
        known.set(name, this.#known.get(name) ?? this.#read(name));
    }
    this.#known = known;
    if (known.size === 0) return logins;
    const marks = [...known].flatMap(([name, mark]) => (mark ? { ...mark, at: timeOf(name) } : []));
    return logins.filter(
      ({ address, user, time }) =>
        !marks.some(
          (mark) =>
            time <= mark.at &&
            address === (mark.address ?? address) &&
            user === (mark.user ?? user),
        ),
    );
  }

  /**
   * Announces that this process is about to compare logins with the revocations, and to write them;
   * until it is disposed of.
   */
  writing(): Disposable {
    const file = join(this.#path, `writing.${process.pid}.${randomUUID()}`);
    try {
      mkdirSync(this.#path, { recursive: true, mode: 0o755 });
      writeFileSync(file, "", { flag: "wx", mode: 0o644 });
    } catch {
      // a full disk must not prevent logins from being written
    }
    return { [Symbol.dispose]: () => remove(file) };
  }

  /**
   * Resolves when the processes that were writing at the time of the call have finished, or have
   * exceeded the time limit.
   */
  async othersWritten(): Promise<void> {
    for (const name of this.#entries().filter((each) => each.startsWith("writing."))) {
      const file = join(this.#path, name);
      while (isWriting(file, Number(name.split(".")[1]))) await sleep(20);
      remove(file);
    }
  }

  #read(name: string): Mark | undefined {
    try {
      return v.parse(MARK, JSON.parse(readFileSync(join(this.#path, name), "utf8")));
    } catch (error) {
      // removed meanwhile because of its age
      if (isGone(error)) return undefined;
      throw this.#unreadable(error);
    }
  }

  #names(): readonly string[] {
    return this.#entries().filter((name) => /^\d+\./.test(name));
  }

  #entries(): readonly string[] {
    try {
      return readdirSync(this.#path);
    } catch (error) {
      if (isGone(error)) return [];
      throw this.#unreadable(error);
    }
  }

  #unreadable(cause: unknown): StoreAwayError {
    return new StoreAwayError(`spool: ${this.#path} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

/**
 * A file that cannot be removed counts for half a minute, and does not affect the logins that are
 * written.
 */
function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // not a directory, for example: then the file was never created
  }
}

function isGone(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

/** Milliseconds since 1970. */
function timeOf(name: string): number {
  return Number.parseInt(name, 10);
}

function isWriting(file: string, pid: number): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found !== undefined && Math.abs(Date.now() - found.mtimeMs) < WRITING_MS && isAlive(pid);
}
