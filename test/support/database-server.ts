/** The database that every {@link DatabaseServer} has, and the account that may do everything in it. */
export const DATABASE = "mail";
export const USER = "popbsmtp";
export const PASSWORD = "correct horse";

/**
 * A database server, empty but for the database `mail` and the account `popbsmtp`, which may do everything in it.
 *
 * It writes as durably as in production (fsync), so that killing it proves something.
 */
export interface DatabaseServer extends AsyncDisposable {
  /** An address: 127.0.0.1, unless asked for another. */
  readonly host: string;
  readonly port: number;
  /** What to give as the host to reach it through its Unix socket: a directory for PostgreSQL, the socket for MariaDB. */
  readonly socket: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /**
   * Runs SQL in the database as the superuser, on a connection of its own; returns the rows of a single statement.
   * Several may be given at once where no rows are wanted.
   */
  query(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Makes it hang: connections are still accepted by the kernel, and nothing is answered. */
  pause(): void;
  /** Ends that. */
  resume(): void;
  /** Kills every one of its processes, as a power cut does. */
  kill9(): Promise<void>;
  /** Shuts it down in an orderly way; clients are disconnected. */
  stop(): Promise<void>;
  /** Starts it again, after `stop` or `kill9`, on the same data and ports. */
  start(): Promise<void>;
}
