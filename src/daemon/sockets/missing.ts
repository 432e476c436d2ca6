/** Sockets that could not be made, and are tried again. */
import { EX, PopbsmtpError, reasonOf } from "../../lib/errors.ts";
import { isRoot } from "../../system/privileges.ts";
import { OccupiedError } from "./listening.ts";
import type { Log } from "../log/log.ts";

interface Attempt<T> {
  /** @param patience how long to wait where somebody else listens. Milliseconds */
  readonly make: (patience: number) => Promise<T>;
  /** Why it failed last. */
  readonly problem: string;
  /** It failed as root, and because the place was occupied. */
  readonly wasOccupied: boolean;
  readonly needsRoot: boolean;
}

/** By a name: "policy=127.0.0.1:10040". */
export class Missing<T> {
  readonly #log: Log;
  readonly #attempts = new Map<string, Attempt<T>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Why each is missing. */
  get problems(): readonly string[] {
    return [...this.#attempts.values()].map(({ problem }) => problem);
  }

  /** Whether one was occupied when this process was root, is not any more, and only root can make it. */
  get needsRoot(): boolean {
    return [...this.#attempts.values()].some(({ needsRoot }) => needsRoot);
  }

  has(name: string): boolean {
    return this.#attempts.has(name);
  }

  /** Tries to make one: undefined where that failed, and it is missing. */
  async attempt(name: string, make: Attempt<T>["make"], patience: number): Promise<T | undefined> {
    const last = this.#attempts.get(name);
    try {
      const made = await make(patience);
      if (this.#attempts.delete(name)) this.#log.info("listening", { listens: name });
      return made;
    } catch (error) {
      const wasOccupied =
        error instanceof OccupiedError && (isRoot() || last?.wasOccupied === true);
      const isDenied = error instanceof PopbsmtpError && error.exitStatus === EX.NOPERM;
      const needsRoot = isDenied && last?.wasOccupied === true;
      const problem = reasonOf(error);
      this.#attempts.set(name, {
        make,
        problem: needsRoot ? `${problem}; only root can: start popbsmtp serve again` : problem,
        wasOccupied: wasOccupied || needsRoot,
        needsRoot,
      });
      return undefined;
    }
  }

  /** Tries each again, and returns those that could be made. */
  async retry(): Promise<readonly T[]> {
    const made: T[] = [];
    for (const [name, { make }] of this.#attempts) {
      const one = await this.attempt(name, make, 0);
      if (one !== undefined) made.push(one);
    }
    return made;
  }

  /** Forgets all others. */
  keep(names: readonly string[]): void {
    for (const name of this.#attempts.keys())
      if (!names.includes(name)) this.#attempts.delete(name);
  }
}

/** The same error, with the setting's name in front. */
export function named(setting: string, error: unknown): unknown {
  if (!(error instanceof PopbsmtpError)) return error;
  const message = `${setting}: ${error.message}`;
  return error instanceof OccupiedError
    ? new OccupiedError(message, { cause: error })
    : new PopbsmtpError(message, error.exitStatus, { cause: error });
}
