import { reasonOf } from "../../lib/errors.ts";
import { Socket } from "node:net";
import type { Client, QueryResultRow } from "pg";
import type { DatabaseAccount, ServerStoreConfig } from "../../config/config.ts";
import { withDeadline } from "../../lib/deadline.ts";
import { INSTALL_HINT } from "../store.ts";
import {
  KEEPALIVE_MS,
  LOCK_MS,
  tlsOptions,
  unknownTrouble,
  type Complaint,
  type Driver,
} from "../server/driver.ts";
import type { ResultRow, Link } from "../table/dialect.ts";

// @types/pg does not know it
declare module "pg" {
  interface Client {
    /** The server's process for this connection. */
    readonly processID: number | null;
  }
}

/** The names of the statements that the server prepares once a connection, by their text. */
export type Prepared = ReadonlyMap<string, string>;

export class PgsqlLink implements Link {
  readonly client: Client;
  readonly #prepared: Prepared;

  constructor(client: Client, prepared: Prepared) {
    this.client = client;
    this.#prepared = prepared;
  }

  async rows(text: string, values?: unknown[]): Promise<readonly ResultRow[]> {
    return (await this.#query(text, values)).rows;
  }

  async run(text: string, values?: unknown[]): Promise<number> {
    return (await this.#query(text, values)).rowCount ?? 0;
  }

  async script(text: string): Promise<void> {
    await this.client.query(text);
  }

  #query(text: string, values: unknown[] | undefined) {
    return this.client.query<QueryResultRow>({ name: this.#prepared.get(text), text, values });
  }
}

/** How to connect to PostgreSQL with `pg`, and what its errors mean. */
export function driver(
  config: ServerStoreConfig,
  account: DatabaseAccount,
  prepared: Prepared = new Map(),
): Driver<PgsqlLink> {
  return {
    connect: async (host, timeout, lost) => {
      ignoreEnvironment();
      const { default: pg } = await import("pg");
      const socket = new Socket();
      const client = new pg.Client({
        host,
        port: config.port,
        database: config.database,
        user: account.user,
        // a function is also asked when there is no password; pg would otherwise look for one in
        // ~/.pgpass
        password: () => account.password?.reveal() ?? "",
        ssl: config.ssl === undefined || host.startsWith("/") ? false : tlsOptions(config.ssl),
        application_name: "popbsmtp",
        client_encoding: "UTF8",
        connectionTimeoutMillis: timeout,
        keepAlive: true,
        keepAliveInitialDelayMillis: KEEPALIVE_MS,
        stream: () => socket,
      });
      client.on("error", lost);
      client.on("end", lost);
      try {
        const connected = await client.connect();
        // not among the parameters of the connection: pgbouncer rejects those that it does not know
        await withDeadline(connected.query(`SET lock_timeout = ${String(LOCK_MS)}`), timeout);
        return new PgsqlLink(connected, prepared);
      } catch (error) {
        socket.destroy();
        throw error;
      }
    },
    readOnly: async (link) => {
      const [row] = await link.rows(
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS read_only",
      );
      if (row?.["standby"] === true) return "takes no writes (a standby)";
      return row?.["read_only"] === "on"
        ? "takes no writes (default_transaction_read_only is on)"
        : undefined;
    },
    identity: async (link) => {
      const [row] = await link.rows("SELECT pg_postmaster_start_time()::text AS started");
      return row && String(row["started"]);
    },
    isWorking: async (link, { client }) => {
      const working = await link.rows(
        "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'",
        [client.processID],
      );
      return working.length === 1;
    },
    cancel: async (link, { client }) => {
      await link.run("SELECT pg_cancel_backend($1)", [client.processID]);
    },
    end: ({ client }) => client.end(),
    destroy: ({ client }) => client.connection.stream.destroy(),
    explain,
  };
}

/**
 * pg takes from the environment whatever it is not given, and cannot be given "nothing" for some
 * (PGOPTIONS, PGREPLICATION). The environment may be that of a mail user.
 */
function ignoreEnvironment(): void {
  for (const name of Object.keys(process.env)) {
    if (/^(NODE_)?PG/.test(name)) delete process.env[name];
  }
}

/** Whether ON CONFLICT found no key to go by. */
export function isUnkeyed(error: unknown): boolean {
  return sqlState(error) === "42P10";
}

/** Whether a table whose name ends so is not there, or may not be used. */
export function isMissing(error: unknown, suffix: string): boolean {
  const state = sqlState(error);
  return (state === "42P01" || state === "42501") && reasonOf(error).includes(suffix);
}

/**
 * Whether a prepared statement was missing, or there already: a pooler has changed the server's end
 * of the connection.
 */
export function isUnprepared(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function explain(error: unknown): Complaint {
  const state = sqlState(error);
  if (state === undefined) return unknownTrouble(error);
  const text = reasonOf(error).replace(/^relation /, "table ");
  switch (state) {
    case "42P01": // undefined_table
    case "42703": // undefined_column
      return { kind: "away", text: `${text}; ${INSTALL_HINT}` };
    case "42501": // insufficient_privilege
      return { kind: "away", text: `${text}; see popbsmtp's accounts in roles.sql` };
    case "28P01": // invalid_password
    case "28000": // invalid_authorization_specification: no such role, pg_hba.conf
    case "3D000": // invalid_catalog_name
      return { kind: "refused", text };
    case "25006": // read_only_sql_transaction
      return { kind: "read-only", text };
    case "57P01": // admin_shutdown
    case "57P02": // crash_shutdown
      return { kind: "lost", text };
    case "40001": // serialization_failure
    case "40P01": // deadlock_detected
    case "55P03": // lock_not_available
      return { kind: "transient", text };
    default:
      // 21 cardinality violation: two users of one batch whom the column's collation takes for one;
      // 22 data exception, 23 integrity constraint violation
      return { kind: /^2[123]/.test(state) ? "row" : "away", text };
  }
}

function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  // Node's own codes are words
  const { code } = error;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && "severity" in error
    ? code
    : undefined;
}
