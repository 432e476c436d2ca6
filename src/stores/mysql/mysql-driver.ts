import { reasonOf } from "../../lib/errors.ts";
import { isIP } from "node:net";
import type { Connection, ResultSetHeader, RowDataPacket } from "mysql2/promise";
import type { DatabaseAccount, ServerStoreConfig } from "../../config/config.ts";
import { INSTALL_HINT } from "../store.ts";
import {
  KEEPALIVE_MS,
  LOCK_MS,
  tlsOptions,
  unknownTrouble,
  type Complaint,
  type Driver,
} from "../server/driver.ts";
import type { ResultRow, Link, Value } from "../table/dialect.ts";

/** How long a statement waits for a row that another one has locked. Milliseconds. */
export const LOCK_WAIT_MS = 1_000;

/**
 * What a session is like, whatever the server's defaults are: times in UTC, nothing cut or guessed
 * silently, no lock on the gaps between rows (a purge would lock new logins out), and no wait for a
 * lock longer than a verb may take.
 */
const SESSION = [
  `SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = ${LOCK_WAIT_MS / 1_000}, lock_wait_timeout = ${LOCK_MS / 1_000}`,
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

export class MysqlLink implements Link {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  async rows(text: string, values?: Value[]): Promise<readonly ResultRow[]> {
    return (await this.#query<RowDataPacket[]>(text, values))[0];
  }

  async run(text: string, values?: Value[]): Promise<number> {
    return (await this.#query<ResultSetHeader>(text, values))[0].affectedRows;
  }

  /** The connection takes one statement at a time, as it should. */
  async script(text: string): Promise<void> {
    for (const statement of text.split(/;\n/)) {
      if (statement.trim() !== "") await this.connection.query(statement);
    }
  }

  /** With values it is prepared, once a connection; BEGIN and its kind cannot be. */
  #query<T extends RowDataPacket[] | ResultSetHeader>(text: string, values: Value[] | undefined) {
    return values === undefined
      ? this.connection.query<T>(text)
      : this.connection.execute<T>(text, values);
  }
}

/** How to connect to MySQL or MariaDB with `mysql2`, and what their errors mean. */
export function driver(config: ServerStoreConfig, account: DatabaseAccount): Driver<MysqlLink> {
  return {
    connect: async (host, timeout, lost) => {
      const mysql = await import("mysql2/promise");
      const socket = host.startsWith("/");
      const connection = await mysql.createConnection({
        ...(socket ? { socketPath: host } : { host, port: config.port, ...tls(host, config) }),
        database: config.database,
        user: account.user,
        password: account.password?.reveal() ?? "",
        charset: "utf8mb4",
        timezone: "Z",
        connectTimeout: timeout,
        enableKeepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS,
        maxPreparedStatements: 16,
        // a server may not ask for our files
        flags: ["-LOCAL_FILES"],
      });
      connection.on("error", lost);
      connection.on("end", lost);
      try {
        for (const sql of SESSION) await connection.query({ sql, timeout });
        return new MysqlLink(connection);
      } catch (error) {
        connection.destroy();
        throw error;
      }
    },
    readOnly: async (link) => {
      const [variables] = await link.rows("SELECT @@global.read_only AS read_only");
      const readOnly = String(variables?.["read_only"]);
      if (readOnly !== "0" && readOnly !== "OFF") return "takes no writes (read_only is on)";
      // without Galera: none, or Disconnected
      const status = await link.rows(
        "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_cluster_status' AND Value LIKE 'non-%'",
      );
      return status.length > 0 ? "takes no writes (a Galera node that is not Primary)" : undefined;
    },
    identity: async (link) => {
      const cluster = await link.rows(
        "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_cluster_state_uuid' AND Value <> ''",
      );
      const server = await link.rows(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('group_replication_group_name', 'server_uid', 'server_uuid') AND Value <> ''",
      );
      // in the order of their names: a group's comes first
      const [variable] = [...cluster, ...server];
      return variable && String(variable["Value"]);
    },
    isWorking: async (link, { connection }) => {
      const working = await link.rows(
        `SELECT 1 FROM information_schema.processlist WHERE id = ${String(connection.threadId)} AND command <> 'Sleep'`,
      );
      return working.length === 1;
    },
    cancel: async (link, { connection }) => {
      await link.run(`KILL QUERY ${String(connection.threadId)}`);
    },
    end: ({ connection }) => connection.end(),
    destroy: ({ connection }) => connection.destroy(),
    explain,
  };
}

function tls(host: string, { ssl }: ServerStoreConfig) {
  if (ssl === undefined) return {};
  // mysql2 checks whose the certificate is only where asked to, and an address it would take for
  // "localhost"
  const verifyIdentity = ssl.rejectUnauthorized;
  if (verifyIdentity && isIP(host) !== 0) {
    throw new Error("TLS can be verified for a name only: give the host's name, not its address");
  }
  return { ssl: { ...tlsOptions(ssl), verifyIdentity } };
}

/** Whether a table whose name ends so is not there, or may not be used. */
export function isMissing(error: unknown, suffix: string): boolean {
  const errno = serverError(error);
  return (errno === 1146 || errno === 1142) && reasonOf(error).includes(suffix);
}

/** https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html */
function explain(error: unknown): Complaint {
  const errno = serverError(error);
  if (errno === undefined) return unknownTrouble(error);
  const text = reasonOf(error);
  switch (errno) {
    case 1146: // ER_NO_SUCH_TABLE
    case 1054: // ER_BAD_FIELD_ERROR
      return { kind: "away", text: `${text}; ${INSTALL_HINT}` };
    case 1142: // ER_TABLEACCESS_DENIED_ERROR
    case 1143: // ER_COLUMNACCESS_DENIED_ERROR
      return { kind: "away", text: `${text}; see popbsmtp's accounts in roles.sql` };
    case 1044: // ER_DBACCESS_DENIED_ERROR
    case 1045: // ER_ACCESS_DENIED_ERROR
    case 1049: // ER_BAD_DB_ERROR
    case 1698: // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
      return { kind: "refused", text };
    case 1047: // ER_UNKNOWN_COM_ERROR: WSREP has not yet prepared node for application use
    case 1180: // ER_ERROR_DURING_COMMIT: not connected to Primary Component
    case 1290: // ER_OPTION_PREVENTS_STATEMENT
    case 1792: // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    case 1836: // ER_READ_ONLY_MODE
      return { kind: "read-only", text };
    case 1053: // ER_SERVER_SHUTDOWN
    case 1927: // ER_CONNECTION_KILLED
      return { kind: "lost", text };
    case 1205: // ER_LOCK_WAIT_TIMEOUT
    case 1213: // ER_LOCK_DEADLOCK
      return { kind: "transient", text };
    case 1048: // ER_BAD_NULL_ERROR
    case 1062: // ER_DUP_ENTRY
    case 1264: // ER_WARN_DATA_OUT_OF_RANGE
    case 1265: // WARN_DATA_TRUNCATED
    case 1292: // ER_TRUNCATED_WRONG_VALUE
    case 1300: // ER_INVALID_CHARACTER_STRING
    case 1366: // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
    case 1406: // ER_DATA_TOO_LONG
    case 1452: // ER_NO_REFERENCED_ROW_2
    case 3819: // ER_CHECK_CONSTRAINT_VIOLATED; MariaDB: 4025
    case 3988: // ER_IMPOSSIBLE_STRING_CONVERSION
    case 4025:
      return { kind: "row", text };
    default:
      return { kind: "away", text };
  }
}

function serverError(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errno" in error) || !("sqlState" in error)) return undefined;
  return typeof error.errno === "number" ? error.errno : undefined;
}
