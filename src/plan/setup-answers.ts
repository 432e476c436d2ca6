/** What setup has to know from a person, or from its options. */

/** Databases that setup can use. */
export const STORES = ["sqlite", "pgsql", "mysql"] as const;

export type StoreChoice = (typeof STORES)[number];

/** Who runs the daemon. */
export const SUPERVISORS = ["dovecot", "systemd"] as const;

export type Supervisor = (typeof SUPERVISORS)[number];

export interface SetupAnswers {
  /** Where authorizations are stored; of no importance if there is a configuration. */
  readonly store: StoreChoice;
  /** The name of the database, for a database server. */
  readonly database: string;
  readonly daemon: Supervisor;
  /**
   * The service of master.cf whose clients may relay, as "submission/inet"; undefined: each that
   * has no restrictions of its own.
   */
  readonly service: string | undefined;
}
