import { closeSync, existsSync, constants as flags, fchmodSync, openSync, statSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { INSTALL_HINT } from "../store.ts";
import {
  hasCode,
  PopbsmtpError,
  RowRefusedError,
  StoreAwayError,
  reasonOf,
} from "../../lib/errors.ts";
import { whyNotForRoot } from "../../system/roots-way.ts";
import type { ResultRow, Link, Statement, Value } from "../table/dialect.ts";

/**
 * Milliseconds SQLite itself waits for another writer: it does so in the only thread there is, and
 * everybody waits with it.
 */
const BUSY_MS = 5;

/**
 * A transaction begins as a writer's, since a reader may not become one after another has written.
 */
export const BEGIN = "BEGIN IMMEDIATE";

/** An open database file. */
export class SqliteFile implements Link {
  readonly #writer: DatabaseSync;
  readonly #keeper: DatabaseSync;
  readonly #path: string;
  readonly #identity: string | undefined;
  /** By their text, of which there are few. */
  readonly #prepared = new Map<string, StatementSync>();

  private constructor(path: string, writer: DatabaseSync, keeper: DatabaseSync) {
    this.#path = path;
    this.#identity = identity(path);
    this.#writer = writer;
    this.#keeper = keeper;
  }

  /**
   * Opens a file that exists, which root does only in a directory of its own: SQLite follows links.
   * Readers of it never wait for us, nor we for them (https://sqlite.org/wal.html).
   */
  static async open(path: string): Promise<SqliteFile> {
    const refusal = whyNotForRoot(dirname(path), "store.path");
    if (refusal !== undefined) throw new StoreAwayError(refusal);
    refuseSpecialFiles(path);
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

  /**
   * Whether it is still the one at its path. Who moves it away, or puts another there, means all
   * who use it: Postfix has gone along.
   */
  get isInPlace(): boolean {
    return this.#identity !== undefined && identity(this.#path) === this.#identity;
  }

  /**
   * Closes the file, and leaves the files -wal and -shm where they are. The last connection that
   * could delete them is the writer's, and it is not the last: the reader's is. Without them
   * Postfix, which may not create them, could not read.
   */
  close(): void {
    this.#writer.close();
    this.#keeper.close();
  }

  async rows(text: string, values: Value[] = []): Promise<readonly ResultRow[]> {
    return this.#prepare(text).all(...values);
  }

  async run(text: string, values: Value[] = []): Promise<number> {
    return this.#execute(text, values);
  }

  async script(text: string): Promise<void> {
    this.#writer.exec(text);
  }

  /**
   * Executes statements as one transaction, and says how many rows the last one has changed.
   * Nothing else in this process goes on meanwhile: another handle that met it would have to wait
   * for a timer.
   */
  async together(statements: readonly Statement[]): Promise<number> {
    this.#execute(BEGIN);
    try {
      let changed = 0;
      for (const { text, values } of statements) changed = this.#execute(text, values);
      this.#execute("COMMIT");
      return changed;
    } catch (error) {
      if (this.#writer.isTransaction) this.#execute("ROLLBACK");
      throw error;
    }
  }

  #execute(text: string, values: Value[] = []): number {
    return Number(this.#prepare(text).run(...values).changes);
  }

  #prepare(text: string): StatementSync {
    const prepared = this.#prepared.get(text) ?? this.#writer.prepare(text);
    this.#prepared.set(text, prepared);
    return prepared;
  }
}

/**
 * Creates the database's file, empty, where it is missing. SQLite gives the files -wal and -shm its
 * mode; their group, as this file's, is that of the directory where that hands it down, else this
 * process's.
 */
export function createDatabaseFile(path: string): void {
  let file;
  try {
    file = openSync(path, flags.O_WRONLY | flags.O_CREAT | flags.O_EXCL, 0o600);
  } catch (error) {
    if (hasCode(error, "EEXIST")) return;
    throw error;
  }
  try {
    // not at open: there the umask would have its say
    fchmodSync(file, 0o640);
  } finally {
    closeSync(file);
  }
}

/** SQLite would wait for ever for somebody to write to a FIFO in the place of a file of its own. */
function refuseSpecialFiles(path: string): void {
  for (const end of ["", "-journal", "-wal", "-shm"]) {
    const stats = statSync(`${path}${end}`, { throwIfNoEntry: false });
    if (stats === undefined || stats.isFile()) continue;
    throw new StoreAwayError(`store: sqlite ${path}: ${path}${end} is not a file; remove it`);
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
export function sqliteTrouble(path: string, error: unknown): Error {
  if (error instanceof PopbsmtpError) return error;
  const name = `sqlite ${path}`;
  const message = `store: ${name}: ${reasonOf(error)}`;
  const options = { cause: error };
  switch (primaryCode(error)) {
    case 14: // SQLITE_CANTOPEN
      return existsSync(path)
        ? new StoreAwayError(
            `${message}; check the modes of the file and of its directory`,
            options,
          )
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
