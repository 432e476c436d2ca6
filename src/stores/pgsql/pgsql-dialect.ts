import type { DatabaseAccount, ServerStoreConfig } from "../../config/config.ts";
import { Connection } from "../server/connection.ts";
import {
  transaction,
  type Dialect,
  type RevocationValues,
  type Statement,
} from "../table/dialect.ts";
import { utcText, type SpelledRow } from "../table/rows.ts";
import { driver, isMissing, isUnkeyed, isUnprepared, type PgsqlLink } from "./pgsql-driver.ts";
import { PgsqlSchema } from "./pgsql-schema.ts";
import { statements } from "./pgsql-sql.ts";

/** PostgreSQL, 9.5 or newer. */
export class PgsqlDialect implements Dialect<PgsqlLink> {
  readonly sql: ReturnType<typeof statements>;
  readonly schema: PgsqlSchema;
  readonly isMissing = isMissing;
  readonly #config: ServerStoreConfig;
  readonly #connection: Connection<PgsqlLink>;
  /**
   * Emptied at the first refusal: a pooler in transaction mode (pgbouncer) keeps no prepared
   * statements.
   */
  readonly #prepared: Map<string, string>;
  /** A mapped table need not have a key that ON CONFLICT can use; the first refusal tells. */
  #unkeyed = false;

  constructor(config: ServerStoreConfig, account: DatabaseAccount) {
    this.sql = statements(config);
    this.schema = new PgsqlSchema(config);
    this.#config = config;
    this.#prepared = new Map([
      [this.sql.lookup, "lookup"],
      [this.sql.upsert, "authorize"],
      [this.sql.upsertUnrevoked, "authorize-unrevoked"],
      [this.sql.updateOrInsert, "authorize-unkeyed"],
    ]);
    this.#connection = new Connection(config, driver(config, account, this.#prepared));
  }

  get name(): string {
    return this.#connection.name;
  }

  use<T>(work: (link: PgsqlLink) => Promise<T>, limit?: number): Promise<T> {
    return this.#connection.use(async (link) => {
      try {
        return await work(link);
      } catch (error) {
        if (this.#prepared.size === 0 || !isUnprepared(error)) throw error;
        this.#prepared.clear();
        return work(link);
      }
    }, limit);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async write(link: PgsqlLink, rows: readonly SpelledRow[]): Promise<void> {
    const values = columnsOf(rows);
    if (!this.#unkeyed) {
      try {
        await link.run(this.sql.upsert, values);
        return;
      } catch (error) {
        if (!this.#config.mapped || !isUnkeyed(error)) throw error;
        this.#unkeyed = true;
      }
    }
    await transaction(link, async () => {
      // nothing but this lock keeps two writers from inserting the same address twice
      await link.run(this.sql.lock);
      await link.run(this.sql.updateOrInsert, values);
    });
  }

  async writeUnrevoked(link: PgsqlLink, rows: readonly SpelledRow[]): Promise<void> {
    await link.run(this.sql.upsertUnrevoked, [
      ...columnsOf(rows),
      rows.map((row) => `${utcText(row.earliest)}Z`),
    ]);
  }

  record(revocation: RevocationValues, { text, values }: Statement): Promise<number> {
    return this.use((link) =>
      transaction(link, async () => {
        await link.run(this.sql.lockOutWriters);
        await link.run(this.sql.recordRevocation, revocation);
        return link.run(text, values);
      }),
    );
  }

  purgeBatch(link: PgsqlLink, { text, values }: Statement): Promise<number> {
    return transaction(link, async () => {
      await link.run(this.sql.giveWay);
      return link.run(text, values);
    });
  }
}

/** The rows as an array for each column. */
function columnsOf(rows: readonly SpelledRow[]): unknown[] {
  return [
    rows.map((row) => row.address),
    rows.map((row) => row.user),
    rows.map((row) => row.service),
    rows.map((row) => `${utcText(row.firstSeen)}Z`),
    rows.map((row) => `${utcText(row.lastSeen)}Z`),
    rows.map((row) => row.logins),
  ];
}
