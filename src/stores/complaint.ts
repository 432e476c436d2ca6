/** What a database's error means to us. */
export interface Complaint {
  /**
   * - row: the server does not take these very rows
   * - transient: two writers met; the same statement will succeed
   * - refused: the server rejects the account or the database; every host of it would
   * - read-only: this host takes no writes; another one may
   * - lost: the connection, not the server, is in trouble
   * - away: anything else
   */
  readonly kind: "row" | "transient" | "refused" | "read-only" | "lost" | "away";
  /** The reason, and what to do about it where that is known. */
  readonly text: string;
}

/** What to do about a table or column that is missing. */
export const INSTALL_HINT = "run: popbsmtp schema install";
