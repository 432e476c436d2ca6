import { randomUUID } from "node:crypto";
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { parseAddress, type Address } from "../../login/address.ts";
import type { SqliteStoreConfig } from "../../config/config.ts";
import { PopbsmtpError, RowRefusedError } from "../../lib/errors.ts";
import type { Login } from "../../login/login.ts";
import { mergeLogins, spelled, utcText, type SpelledRow } from "../table/rows.ts";
import { homeOf, makeHome } from "../home.ts";
import { recorded, revokeForGood } from "../revocation.ts";
import { revoked } from "../table/revocation-table.ts";
import { REVOCATION_KEPT_MS } from "../../login/login.ts";
import { isBusy, isMissing, SqliteFile, sqliteTrouble } from "./sqlite-driver.ts";
import { createDatabaseFile } from "./sqlite-file.ts";
import { installSqlite, sqliteCaveats, sqliteVersion } from "./sqlite-install.ts";
import { ago, statements } from "./sqlite-sql.ts";
import { Clocks } from "../table/store-clock.ts";
import { purgeInBatches } from "../table/purge-batches.ts";
import type {
  Authorization,
  Caveat,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "../store.ts";

/** How long a verb waits for another writer. Milliseconds. */
const BUSY_MS = 1_000;

type Found = Record<string, SQLOutputValue>;

/** Authorizations in a SQLite file, which Postfix reads on the same host. The store's clock is this host's. */
export class SqliteStore implements Store {
  readonly name: string;
  readonly #config: SqliteStoreConfig;
  readonly #lifetime: number;
  readonly #sql: ReturnType<typeof statements>;
  #file: Promise<SqliteFile> | undefined;

  constructor(config: SqliteStoreConfig, lifetime: number) {
    this.name = `sqlite ${config.path}`;
    this.#config = config;
    this.#lifetime = lifetime;
    this.#sql = statements(config);
  }

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    if (batch.length === 0) return;
    const rows = mergeLogins(batch, this.#config.columns.user !== undefined);
    await this.#use((file) => {
      const write = this.#upsert(file);
      file.transaction(() => {
        for (const row of spelled(rows, new Clocks(now, Date.now()))) write(row);
      });
    });
  }

  /** Writes a row unless it was revoked, where revocations are recorded. */
  #upsert({ writer }: SqliteFile): (row: SpelledRow) => void {
    const { upsert, upsertValues, upsertUnrevoked, unrevokedValues } = this.#sql;
    if (!this.#config.mapped) {
      try {
        const statement = writer.prepare(upsertUnrevoked);
        return (row) => void statement.run(...unrevokedValues(row));
      } catch (error) {
        // not upgraded yet
        if (!isMissing(error, "_revocations")) throw error;
      }
    }
    const statement = writer.prepare(upsert);
    return (row) => void statement.run(...upsertValues(row));
  }

  async lookup(address: Address): Promise<Authorization | undefined> {
    const rows = await this.#rows(this.#sql.lookup, address, ago(this.#lifetime));
    return rows[0];
  }

  list({ all = false } = {}): Promise<readonly Authorization[]> {
    return all
      ? this.#rows(this.#sql.listAll)
      : this.#rows(this.#sql.listLive, ago(this.#lifetime));
  }

  async count(): Promise<Count> {
    const row = await this.#use(({ writer }) =>
      writer.prepare(this.#sql.count).get(ago(this.#lifetime)),
    );
    return {
      live: Number(row?.["live"]),
      all: Number(row?.["all"]),
      oldest: date(row?.["oldest"]),
    };
  }

  async revoke(which: Revocation): Promise<number> {
    const conditions = revoked(this.#config, which);
    const values = conditions.map(({ value }) => value);
    const end = ({ writer }: SqliteFile) =>
      Number(writer.prepare(this.#sql.revoke(conditions)).run(...values).changes);
    if (this.#config.mapped) return this.#use(end);
    const record = (file: SqliteFile) =>
      file.transaction(() => {
        const statement = file.writer.prepare(this.#sql.recordRevocation);
        statement.run(randomUUID(), ...recorded(which), utcText(Date.now()));
        return end(file);
      });
    return revokeForGood(
      () => this.#use(end),
      () => this.#use(record),
    );
  }

  async purge({
    olderThan = this.#lifetime,
    batchSize = 1_000,
    optimize = false,
    onProgress,
  }: PurgeOptions = {}): Promise<number> {
    const deleted = await purgeInBatches(
      () =>
        this.#use(({ writer }) =>
          Number(writer.prepare(this.#sql.purge).run(ago(olderThan), batchSize).changes),
        ),
      onProgress,
    );
    await this.#use(({ writer }) => {
      this.#purgeRevocations(writer);
      if (optimize) writer.exec("VACUUM");
      // what readers have finished with need not stay in the file -wal
      writer.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    });
    return deleted;
  }

  async install(): Promise<Installed> {
    if (!this.#config.mapped) {
      try {
        const home = homeOf(this.#config);
        if (home !== undefined) makeHome(home);
        createDatabaseFile(this.#config.path);
      } catch (error) {
        throw this.#explain(error);
      }
    }
    return this.#use((file) => installSqlite(file, this.#config, this.name));
  }

  schemaVersion(): Promise<number | undefined> {
    return this.#use(({ writer }) => sqliteVersion(writer, this.#config));
  }

  caveats(): Promise<readonly Caveat[]> {
    return this.#use(({ writer }) => sqliteCaveats(writer, this.#config));
  }

  async close(): Promise<void> {
    const file = await this.#file?.catch(() => undefined);
    this.#file = undefined;
    file?.close();
  }

  #purgeRevocations(writer: DatabaseSync): void {
    if (this.#config.mapped) return;
    try {
      writer.prepare(this.#sql.purgeRevocations).run(ago(REVOCATION_KEPT_MS));
    } catch (error) {
      if (!isMissing(error, "_revocations")) throw error;
    }
  }

  async #rows(sql: string, ...values: SQLInputValue[]): Promise<readonly Authorization[]> {
    return this.#use(({ writer }) =>
      writer
        .prepare(sql)
        .all(...values)
        .flatMap(authorization),
    );
  }

  /** Does `work` on the file, and again where it met another writer. */
  async #use<T>(work: (file: SqliteFile) => T): Promise<T> {
    const end = performance.now() + BUSY_MS;
    for (;;) {
      try {
        return work(await this.#open());
      } catch (error) {
        if (isBusy(error) && performance.now() < end) {
          // not in step with the other one
          await delay(Math.random() * 20);
          continue;
        }
        const trouble = this.#explain(error);
        if (!(trouble instanceof RowRefusedError)) await this.close();
        throw trouble;
      }
    }
  }

  /** The first verb opens the file, and the next one again after something went wrong with it, or it was moved. */
  async #open(): Promise<SqliteFile> {
    const before = this.#file;
    const file = await before;
    if (file?.isInPlace === false && this.#file === before) {
      this.#file = undefined;
      file.close();
    }
    const opening = (this.#file ??= SqliteFile.open(this.#config.path));
    try {
      return await opening;
    } catch (error) {
      if (this.#file === opening) this.#file = undefined;
      throw error;
    }
  }

  #explain(error: unknown): Error {
    return error instanceof PopbsmtpError
      ? error
      : sqliteTrouble(this.name, this.#config.path, error);
  }
}

/** None for a mapped table's row that is not about an address, or has no time. */
function authorization(row: Found): readonly Authorization[] {
  const address = parseAddress(text(row["address"]) ?? "");
  const lastSeen = date(row["last_seen"]);
  if (address === undefined || lastSeen === undefined) return [];
  const logins = row["logins"];
  return [
    {
      address,
      user: text(row["user"]),
      service: text(row["service"]),
      firstSeen: date(row["first_seen"]),
      lastSeen,
      logins: typeof logins === "number" ? logins : undefined,
    },
  ];
}

function text(value: SQLOutputValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function date(value: SQLOutputValue | undefined): Date | undefined {
  return typeof value === "number" ? new Date(value) : undefined;
}
