import { existsSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { INSTALL_HINT } from "../complaint.ts";
import { RowRefusedError, StoreAwayError, reasonOf } from "../../lib/errors.ts";
import { whyNotForRoot } from "../../system/roots-way.ts";

/** Milliseconds SQLite itself waits for another writer: it does so in the only thread there is, and everybody waits with it. */
const BUSY_MS = 5;

/** An open database file. */
export class SqliteFile {
  readonly writer: DatabaseSync;
  readonly #keeper: DatabaseSync;
  readonly #path: string;
  readonly #identity: string | undefined;

  private constructor(path: string, writer: DatabaseSync, keeper: DatabaseSync) {
    this.#path = path;
    this.#identity = identity(path);
    this.writer = writer;
    this.#keeper = keeper;
  }

  /** Opens a file that exists, which root does only in a directory of its own: SQLite follows links. Readers of it never wait for us, nor we for them (https://sqlite.org/wal.html). */
  static async open(path: string): Promise<SqliteFile> {
    const refusal = whyNotForRoot(dirname(path), "store.path");
    if (refusal !== undefined) throw new StoreAwayError(refusal);
    const { DatabaseSync } = await import("node:sqlite");
    const url = pathToFileURL(path);
    // not one that is empty, and belongs to whoever came first
    url.searchParams.set("mode", "rw");
    const writer = new DatabaseSync(url, { timeout: BUSY_MS });
    try {
      writer.exec("PRAGMA journal_mode = WAL");
      // a login leaves the spool once it is committed here, and then has to survive a power cut too
      writer.exec("PRAGMA synchronous = FULL");
      const keeper = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
      keeper.prepare("SELECT count(*) FROM sqlite_schema").get();
      return new SqliteFile(path, writer, keeper);
    } catch (error) {
      writer.close();
      throw error;
    }
  }

  /** Whether it is still the one at its path. Who moves it away, or puts another there, means all who use it: Postfix has gone along. */
  get isInPlace(): boolean {
    return this.#identity !== undefined && identity(this.#path) === this.#identity;
  }

  /**
   * Closes the file, and leaves the files -wal and -shm where they are. The last connection that could delete them is the
   * writer's, and it is not the last: the reader's is. Without them Postfix, which may not create them, could not read.
   */
  close(): void {
    this.writer.close();
    this.#keeper.close();
  }

  /** Does `work` as one transaction. It begins as a writer's, since a reader may not become one after another has written. */
  transaction<T>(work: () => T): T {
    this.writer.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.writer.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.writer.isTransaction) this.writer.exec("ROLLBACK");
      throw error;
    }
  }
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** Whether another writer was there. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error);
  // SQLITE_BUSY, SQLITE_LOCKED
  return code === 5 || code === 6;
}

/** Whether there is no table whose name ends so. */
export function isMissing(error: unknown, suffix: string): boolean {
  return (
    primaryCode(error) === 1 && new RegExp(`^no such table: .*${suffix}$`).test(reasonOf(error))
  );
}

/** What an error of SQLite's means. https://sqlite.org/rescode.html */
export function sqliteTrouble(name: string, path: string, error: unknown): Error {
  const message = `store: ${name}: ${reasonOf(error)}`;
  const options = { cause: error };
  switch (primaryCode(error)) {
    case 14: // SQLITE_CANTOPEN
      return existsSync(path)
        ? new StoreAwayError(`${message}; see the modes of it and of its directory`, options)
        : new StoreAwayError(`store: ${name}: it does not exist; ${INSTALL_HINT}`, options);
    case 1: // SQLITE_ERROR
      return new StoreAwayError(
        /^no such (?:table|column)/.test(reasonOf(error)) ? `${message}; ${INSTALL_HINT}` : message,
        options,
      );
    case 18: // SQLITE_TOOBIG
    case 19: // SQLITE_CONSTRAINT
    case 20: // SQLITE_MISMATCH
      return new RowRefusedError(message, options);
    default:
      return new StoreAwayError(message, options);
  }
}

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}
