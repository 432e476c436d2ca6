/** Sockets that could not be created, and are tried again. */
import { EX, PopbsmtpError, reasonOf } from "../../lib/errors.ts";
import { isRoot } from "../../system/privileges.ts";
import { OccupiedError } from "./listening.ts";
import type { Log } from "../log/log.ts";

interface Retry<T> {
  /** @param patience how long to wait while the endpoint is occupied, in milliseconds */
  readonly make: (patience: number) => Promise<T>;
  /** The reason for the last failure. */
  readonly problem: string;
  /** Whether root failed because the endpoint was occupied. */
  readonly wasOccupied: boolean;
  readonly needsRoot: boolean;
}

/** By a name such as "policy=127.0.0.1:10040". */
export class Missing<T> {
  readonly #log: Log;
  readonly #attempts = new Map<string, Retry<T>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The reason for each missing socket. */
  get problems(): readonly string[] {
    return [...this.#attempts.values()].map(({ problem }) => problem);
  }

  /**
   * Whether an endpoint was occupied when this process was root, is free now, and only root can
   * bind it.
   */
  get needsRoot(): boolean {
    return [...this.#attempts.values()].some(({ needsRoot }) => needsRoot);
  }

  has(name: string): boolean {
    return this.#attempts.has(name);
  }

  /** Tries to create a socket; undefined if that failed, and the socket is missing. */
  async attempt(name: string, make: Retry<T>["make"], patience: number): Promise<T | undefined> {
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

  /** Tries each again, and returns those that succeeded. */
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

/** The same error, with the name of the setting in front. */
export function named(setting: string, error: unknown): unknown {
  if (!(error instanceof PopbsmtpError)) return error;
  const message = `${setting}: ${error.message}`;
  return error instanceof OccupiedError
    ? new OccupiedError(message, { cause: error })
    : new PopbsmtpError(message, error.exitStatus, { cause: error });
}
