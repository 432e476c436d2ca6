/**
 * Revocations, for a store that has no room for them: an administrator's own table, or relay-ctrl's directory. They hold on this host.
 *
 *     .revoked/<ms>.<id>              one revocation: its address and its user in JSON, null for any
 *     .revoked/writing.<pid>.<id>     a process is writing logins that it has compared with the revocations of before
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

/** No statement takes longer: whoever is said to be writing since then has ended otherwise. Milliseconds. */
const WRITING_MS = 30_000;

const MARK = v.object({ address: v.nullable(v.string()), user: v.nullable(v.string()) });

type Mark = v.InferOutput<typeof MARK>;

export class Revocations {
  readonly #path: string;
  /** By their files' names: what is in one never changes. */
  #known = new Map<string, Mark | undefined>();

  /** @param spool the store's spool */
  constructor(spool: string) {
    this.#path = join(spool, ".revoked");
  }

  /**
   * Records a revocation of all that is until now, so that it outlasts a power cut, and forgets those of more than a week ago.
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
   * @throws StoreAwayError where nobody can tell
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

  /** Says that this process is about to compare logins with what is revoked, and to write them; until it is disposed of. */
  writing(): Disposable {
    const file = join(this.#path, `writing.${process.pid}.${randomUUID()}`);
    try {
      mkdirSync(this.#path, { recursive: true, mode: 0o755 });
      writeFileSync(file, "", { flag: "wx", mode: 0o644 });
    } catch {
      // a full disk is no reason not to write logins
    }
    return { [Symbol.dispose]: () => remove(file) };
  }

  /** Resolves when nobody is writing any more who was when it was called, or would have been for longer than anybody does. */
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
      // removed meanwhile, since it is old
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

/** What cannot be removed counts for half a minute, and changes nothing about the logins that are written. */
function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // not a directory, say: then it was never made
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
