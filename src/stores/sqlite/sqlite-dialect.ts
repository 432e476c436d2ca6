import { setTimeout as sleep } from "node:timers/promises";
import type { SqliteStoreConfig } from "../../config/config.ts";
import { RowRefusedError } from "../../lib/errors.ts";
import type { Dialect, RevocationValues, Statement } from "../table/dialect.ts";
import type { SpelledRow } from "../table/rows.ts";
import { isBusy, isMissing, SqliteFile, sqliteTrouble } from "./sqlite-file.ts";
import { SqliteSchema } from "./sqlite-schema.ts";
import { statements } from "./sqlite-sql.ts";

/** How long a verb waits for another writer. Milliseconds. */
const BUSY_MS = 1_000;

/** A SQLite file, which Postfix reads on the same host. The store's clock is this host's. */
export class SqliteDialect implements Dialect<SqliteFile> {
  readonly name: string;
  readonly sql: ReturnType<typeof statements>;
  readonly schema: SqliteSchema;
  readonly isMissing = isMissing;
  readonly #path: string;
  #file: Promise<SqliteFile> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(config: SqliteStoreConfig) {
    this.name = `sqlite ${config.path}`;
    this.sql = statements(config);
    this.schema = new SqliteSchema(config);
    this.#path = config.path;
  }

  async use<T>(work: (file: SqliteFile) => Promise<T>): Promise<T> {
    const end = performance.now() + BUSY_MS;
    for (;;) {
      try {
        return await this.#inTurn(async () => work(await this.#open()));
      } catch (error) {
        if (isBusy(error) && performance.now() < end) {
          // not in step with the other one; whoever does not need what is locked has its turn
          // meanwhile
          await sleep(Math.random() * 20);
          continue;
        }
        const trouble = sqliteTrouble(this.#path, error);
        if (!(trouble instanceof RowRefusedError)) await this.close();
        throw trouble;
      }
    }
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      const file = await this.#file?.catch(() => undefined);
      this.#file = undefined;
      file?.close();
    });
  }

  async write(file: SqliteFile, rows: readonly SpelledRow[]): Promise<void> {
    await file.together(rows.map((row) => this.sql.upsert(row)));
  }

  async writeUnrevoked(file: SqliteFile, rows: readonly SpelledRow[]): Promise<void> {
    await file.together(rows.map((row) => this.sql.upsertUnrevoked(row)));
  }

  record(revocation: RevocationValues, deletion: Statement): Promise<number> {
    return this.use((file) =>
      file.together([this.sql.recordRevocation(revocation, Date.now()), deletion]),
    );
  }

  /**
   * Does `work` when what was asked before is done: an installation's transaction may have nobody
   * else's statement in it.
   */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /**
   * The first verb opens the file, and the next one again after something went wrong with it, or it
   * was moved.
   */
  async #open(): Promise<SqliteFile> {
    const file = await this.#file;
    if (file?.isInPlace === false) {
      this.#file = undefined;
      file.close();
    }
    const opening = (this.#file ??= SqliteFile.open(this.#path));
    try {
      return await opening;
    } catch (error) {
      this.#file = undefined;
      throw error;
    }
  }
}
