/** The database of every {@link DatabaseServer}, and the account that owns it. */
export const DATABASE = "mail";
export const USER = "popbsmtp";
export const PASSWORD = "correct horse";

/**
 * A database server, empty except for the database `mail` and its owner, the account `popbsmtp`.
 *
 * It writes as durably as in production (fsync), so that killing it proves something.
 */
export interface DatabaseServer extends AsyncDisposable {
  /** An address: 127.0.0.1 by default. */
  readonly host: string;
  readonly port: number;
  /**
   * The host name that selects its Unix socket: a directory for PostgreSQL, the socket for MariaDB.
   */
  readonly socket: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /**
   * Runs SQL in the database as the superuser, on a connection of its own; returns the rows of a
   * single statement. Several statements may be combined if no rows are wanted.
   */
  query(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Makes the server hang: the kernel still accepts connections, but nothing is answered. */
  pause(): void;
  /** Ends a pause. */
  resume(): void;
  /** Kills all its processes, as a power cut does. */
  kill9(): Promise<void>;
  /** Shuts it down in an orderly way, which disconnects clients. */
  stop(): Promise<void>;
  /** Starts it again, after `stop` or `kill9`, with the same data and ports. */
  start(): Promise<void>;
}
