import { setTimeout as sleep } from "node:timers/promises";
import type { DatabaseAccount, ServerStoreConfig } from "../../config/config.ts";
import { Connection } from "../server/connection.ts";
import {
  transaction,
  type Dialect,
  type RevocationValues,
  type Statement,
} from "../table/dialect.ts";
import { utcText, type SpelledRow } from "../table/rows.ts";
import { driver, isMissing, LOCK_WAIT_MS, type MysqlLink } from "./mysql-driver.ts";
import { MysqlSchema } from "./mysql-schema.ts";
import { statements } from "./mysql-sql.ts";

/** MySQL, 5.7 or newer, and MariaDB, 10.2 or newer. */
export class MysqlDialect implements Dialect<MysqlLink> {
  readonly sql: ReturnType<typeof statements>;
  readonly schema: MysqlSchema;
  readonly isMissing = isMissing;
  readonly #connection: Connection<MysqlLink>;

  constructor(config: ServerStoreConfig, account: DatabaseAccount) {
    this.sql = statements(config);
    this.#connection = new Connection(config, driver(config, account));
    this.schema = new MysqlSchema(config, this.#connection.name);
  }

  get name(): string {
    return this.#connection.name;
  }

  use<T>(work: (link: MysqlLink) => Promise<T>, limit?: number): Promise<T> {
    return this.#connection.use(work, limit);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async write(link: MysqlLink, rows: readonly SpelledRow[]): Promise<void> {
    const chunks = inChunks(rows);
    // one statement is a transaction by itself, in one round trip
    if (chunks.length === 1) await this.#upsert(link, chunks);
    else await transaction(link, () => this.#upsert(link, chunks));
  }

  /**
   * Many rows are written as if none were revoked, and taken back if one may be: comparing each
   * takes MySQL five times as long. A revocation that is recorded after the look waits for their
   * locks, and deletes them.
   */
  async writeUnrevoked(link: MysqlLink, rows: readonly SpelledRow[]): Promise<void> {
    const chunks = inChunks(rows);
    if (rows.length === 1) return this.#upsertUnrevoked(link, chunks);
    try {
      await transaction(link, async () => {
        await this.#upsert(link, chunks);
        await this.#refuseRevocations(link, rows);
      });
    } catch (error) {
      if (!(error instanceof RevokedError)) throw error;
      await transaction(link, () => this.#upsertUnrevoked(link, chunks));
    }
  }

  async record(revocation: RevocationValues, deletion: Statement): Promise<number> {
    const run = ({ text, values }: Statement) => this.use((link) => link.run(text, values));
    await run({ text: this.sql.recordRevocation, values: revocation });
    const deleted = await run(deletion);
    // a writer that looked before may still wait for a lock, but not longer
    await sleep(LOCK_WAIT_MS);
    return deleted + (await run(this.sql.beforeRevocation(deletion, revocation[0])));
  }

  async #upsert(link: MysqlLink, chunks: Chunks): Promise<void> {
    for (const chunk of chunks) {
      await link.run(this.sql.upsert(chunk.length), this.sql.upsertValues(chunk));
    }
  }

  async #upsertUnrevoked(link: MysqlLink, chunks: Chunks): Promise<void> {
    for (const chunk of chunks) {
      await link.run(this.sql.upsertUnrevoked(chunk.length), this.sql.unrevokedValues(chunk));
    }
  }

  async #refuseRevocations(link: MysqlLink, rows: readonly SpelledRow[]): Promise<void> {
    const earliest = Math.min(...rows.map((row) => row.earliest));
    const found = await link.rows(this.sql.anyRevocation, [utcText(earliest)]);
    if (found.length > 0) throw new RevokedError();
  }
}

/** There is a revocation since the first of these logins. */
class RevokedError extends Error {}

type Chunks = readonly (readonly SpelledRow[])[];

/**
 * Statements of 100, 10 and 1 rows: the server keeps three prepared, whatever the batches' sizes.
 */
function inChunks(rows: readonly SpelledRow[]): Chunks {
  const chunks: (readonly SpelledRow[])[] = [];
  let done = 0;
  for (const size of [100, 10, 1]) {
    for (; rows.length - done >= size; done += size) chunks.push(rows.slice(done, done + size));
  }
  return chunks;
}
