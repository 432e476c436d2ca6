/**
 * What a database has to say for itself: the table store (table-store.ts) is written once over
 * this.
 */
import type { Condition } from "./revocation-table.ts";
import type { SpelledRow } from "./rows.ts";
import type { Caveat } from "../store.ts";

/** What takes a placeholder's place. */
export type Value = string | number | null;

/** A row by its columns' names, each as the client library has it. */
export type ResultRow = Readonly<Record<string, unknown>>;

/** A connection, or a file that is open. */
export interface Link {
  /** The rows that a query finds. */
  rows(text: string, values?: Value[]): Promise<readonly ResultRow[]>;
  /** Executes a statement and says how many rows it has changed. */
  run(text: string, values?: Value[]): Promise<number>;
  /** Executes as many statements as there are in a text. */
  script(text: string): Promise<void>;
}

/** A statement and what its placeholders stand for. */
export interface Statement {
  readonly text: string;
  readonly values: Value[];
}

/**
 * The SQL for a table. What is selected is called address, user, service, first_seen, last_seen and
 * logins; a time is a Date, or a number of milliseconds since 1970. Ages and lifetimes are given in
 * seconds.
 */
export interface Statements {
  /** The live authorization with the latest last_seen. Takes an address and the lifetime. */
  readonly lookup: string;
  /** The live ones, the latest first. Takes the lifetime. */
  readonly listLive: string;
  readonly listAll: string;
  /** One row of live, all and oldest. Takes the lifetime. */
  readonly count: string;
  /** Deletes the rows of which all this is true. */
  revoke(conditions: readonly Condition[]): Statement;
  /**
   * Deletes at most so many rows that were last seen that long ago, oldest first. Takes the age.
   */
  purge(rows: number): string;
  /** Forgets revocations recorded that long ago. Takes the age. */
  readonly purgeRevocations: string;
  /** Gives freed space back. */
  readonly optimize: string;
  /** What ends each purge. Default: nothing. */
  readonly checkpoint?: string;
  /** One row of now, the server's clock. Default: it is this host's. */
  readonly clock?: string;
}

/** How tables are made and looked at. */
export interface Schema<L extends Link> {
  /** Makes what has to be there before anything can be connected to. Default: nothing has. */
  create?(): Promise<void>;
  /** Does `work` while nobody else installs; as one transaction, where the database can. */
  alone<T>(link: L, work: () => Promise<T>): Promise<T>;
  /**
   * The names of the columns of the table whose name ends so; none where there is no such table.
   */
  columns(link: L, suffix: string): Promise<readonly string[]>;
  /**
   * Makes the Dovecot wiki's table, an address and a time, version 1's, and keeps its rows. Leaves
   * any other as it is.
   */
  convert(link: L): Promise<void>;
  /** What an administrator's own table costs. */
  caveats(link: L): Promise<readonly Caveat[]>;
}

/** A revocation as the table of revocations has it; null stands for any address, or any user. */
export type RevocationValues = [id: string, address: string | null, user: string | null];

/** What differs from one database to another. */
export interface Dialect<L extends Link> {
  /** For people: "pgsql db.example.org:5432/mail". */
  readonly name: string;
  readonly sql: Statements;
  readonly schema: Schema<L>;

  /**
   * Does `work` alone on a connection, and again where it met another writer or the connection was
   * lost.
   *
   * @param limit milliseconds after which it is given up. Default: what a login can wait
   * @throws RowRefusedError, StoreAwayError
   */
  use<T>(work: (link: L) => Promise<T>, limit?: number): Promise<T>;

  /** Ends the connection. The next use would make a new one. */
  close(): Promise<void>;

  /** Writes rows, in the order given, all or none. */
  write(link: L, rows: readonly SpelledRow[]): Promise<void>;

  /** The same, but skips those that a recorded revocation has ended. */
  writeUnrevoked(link: L, rows: readonly SpelledRow[]): Promise<void>;

  /** Whether an error says that a table whose name ends so is not there, or may not be used. */
  isMissing(error: unknown, suffix: string): boolean;

  /**
   * Records a revocation and does the deletion, so that no writer at work undoes it. Says how many
   * rows were deleted.
   */
  record(revocation: RevocationValues, deletion: Statement): Promise<number>;

  /** Deletes a batch of what a purge deletes. The default is to execute the statement. */
  purgeBatch?(link: L, statement: Statement): Promise<number>;
}

/**
 * Does `work` as one transaction.
 *
 * @param begin what begins it. Default: BEGIN
 */
export async function transaction<T>(
  link: Link,
  work: () => Promise<T>,
  begin = "BEGIN",
): Promise<T> {
  await link.run(begin);
  try {
    const result = await work();
    await link.run("COMMIT");
    return result;
  } catch (error) {
    // where the connection is what failed, this fails too, and the first error is the one that
    // counts
    await link.run("ROLLBACK").catch(() => {});
    throw error;
  }
}
