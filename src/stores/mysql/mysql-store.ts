import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection as Link, ResultSetHeader, RowDataPacket } from "mysql2/promise";
import { parseAddress, type Address } from "../../login/address.ts";
import type { Account, ServerStoreConfig } from "../../config/config.ts";
import type { Login } from "../../login/login.ts";
import { mergeLogins, spelled, utcText, type SpelledRow } from "../table/rows.ts";
import { Connection, MAINTENANCE_MS } from "../table/connection.ts";
import { mysqlCaveats } from "./mysql-caveats.ts";
import { driver, isMissing, LOCK_WAIT_MS } from "./mysql-driver.ts";
import { installMysql, mysqlVersion } from "./mysql-install.ts";
import { statements } from "./mysql-sql.ts";
import { recorded, revokeForGood } from "../revocation.ts";
import { revoked, RevocationTable } from "../table/revocation-table.ts";
import { REVOCATION_KEPT_MS } from "../../login/login.ts";
import { purgeInBatches } from "../table/purge-batches.ts";
import { StoreClock, type Clocks } from "../table/store-clock.ts";
import type {
  Authorization,
  Caveat,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "../store.ts";

/** A varbinary column comes as bytes. */
type Text = string | Buffer;

interface Found extends RowDataPacket {
  readonly address: Text;
  readonly user: Text | null;
  readonly service: Text | null;
  readonly first_seen: Date | null;
  readonly last_seen: Date;
  readonly logins: number | null;
}

/** Authorizations in MySQL, 5.7 or newer, or MariaDB, 10.2 or newer. */
export class MysqlStore implements Store {
  readonly #config: ServerStoreConfig;
  readonly #lifetime: number;
  readonly #connection: Connection<Link>;
  readonly #sql: ReturnType<typeof statements>;
  readonly #clock = new StoreClock<Link>((link) => this.#now(link));

  readonly #revocations: RevocationTable;

  constructor(config: ServerStoreConfig, account: Account, lifetime: number) {
    this.#config = config;
    this.#lifetime = lifetime;
    this.#connection = new Connection(config, driver(config, account));
    this.#sql = statements(config);
    this.#revocations = new RevocationTable((error) => isMissing(error, "_revocations"));
  }

  get name(): string {
    return this.#connection.name;
  }

  async authorize(batch: readonly Login[], now: number): Promise<void> {
    if (batch.length === 0) return;
    const start = performance.now();
    const rows = mergeLogins(batch, this.#config.columns.user !== undefined);
    await this.#connection.use(async (link) => {
      const chunks = inChunks(spelled(rows, await this.#compare(link, now, start)));
      const plain = () => this.#write(link, chunks);
      if (this.#config.mapped) return plain();
      return this.#revocations.use(() => this.#writeUnrevoked(link, chunks), plain);
    });
  }

  /** Writes rows whether or not they were revoked; then does `finish` before they are committed. */
  async #write(link: Link, chunks: Chunks, finish?: () => Promise<void>): Promise<void> {
    const write = async () => {
      for (const chunk of chunks) {
        await link.execute(this.#sql.upsert(chunk.length), this.#sql.upsertValues(chunk));
      }
      await finish?.();
    };
    // one statement is a transaction by itself, in one round trip
    await (chunks.length > 1 || finish !== undefined ? transaction(link, write) : write());
  }

  /**
   * Many rows are written as if none were revoked, and taken back if one may be: comparing each takes MySQL five times as long. A
   * revocation that is recorded after the look waits for their locks, and deletes them.
   */
  async #writeUnrevoked(link: Link, chunks: Chunks): Promise<void> {
    const rows = chunks.flat();
    const write = async () => {
      for (const chunk of chunks) {
        const values = this.#sql.unrevokedValues(chunk);
        await link.execute(this.#sql.upsertUnrevoked(chunk.length), values);
      }
    };
    if (rows.length === 1) return write();
    try {
      await this.#write(link, chunks, () => this.#refuseRevocations(link, rows));
    } catch (error) {
      if (!(error instanceof RevokedError)) throw error;
      await transaction(link, write);
    }
  }

  async #refuseRevocations(link: Link, rows: readonly SpelledRow[]): Promise<void> {
    const earliest = Math.min(...rows.map((row) => row.earliest));
    const [found] = await link.execute<RowDataPacket[]>(this.#sql.anyRevocation, [
      utcText(earliest),
    ]);
    if (found.length > 0) throw new RevokedError();
  }

  async lookup(address: Address): Promise<Authorization | undefined> {
    const values = [address, this.#lifetime / 1000];
    const found = await this.#connection.use(async (link) =>
      this.#authorizations(link, await link.execute<Found[]>(this.#sql.lookup, values)),
    );
    return found[0];
  }

  async list({ all = false } = {}): Promise<readonly Authorization[]> {
    return this.#connection.use(async (link) =>
      this.#authorizations(
        link,
        all
          ? await link.execute<Found[]>(this.#sql.listAll)
          : await link.execute<Found[]>(this.#sql.listLive, [this.#lifetime / 1000]),
      ),
    );
  }

  async count(): Promise<Count> {
    return this.#connection.use(async (link) => {
      const [rows] = await link.execute<
        (RowDataPacket & { live: number; all: number; oldest: Date | null })[]
      >(this.#sql.count, [this.#lifetime / 1000]);
      const { live = 0, all = 0, oldest = null } = rows[0] ?? {};
      if (oldest === null) return { live, all, oldest: undefined };
      const clocks = await this.#clock.compare(link);
      return { live, all, oldest: new Date(clocks.read(oldest.getTime())) };
    });
  }

  async revoke(which: Revocation): Promise<number> {
    const conditions = revoked(this.#config, which);
    const sql = this.#sql.revoke(conditions);
    const values = conditions.flatMap(({ value, bytes }) => (bytes ? [value, value] : [value]));
    const run = (text: string, given: readonly (string | null)[]) =>
      this.#connection.use(async (link) => {
        const [{ affectedRows }] = await link.execute<ResultSetHeader>(text, [...given]);
        return affectedRows;
      });
    if (this.#config.mapped) return run(sql, values);
    const id = randomUUID();
    const record = async () => {
      await run(this.#sql.recordRevocation, [id, ...recorded(which)]);
      const ended = await run(sql, values);
      // a writer that looked before may still wait for a lock, but not longer
      await sleep(LOCK_WAIT_MS);
      return ended + (await run(sql + this.#sql.beforeRevocation, [...values, id]));
    };
    return revokeForGood(() => run(sql, values), record);
  }

  async purge({
    olderThan = this.#lifetime,
    batchSize = 1_000,
    optimize = false,
    onProgress,
  }: PurgeOptions = {}): Promise<number> {
    const sql = this.#sql.purge(batchSize);
    const deleted = await purgeInBatches(async () => {
      const [{ affectedRows }] = await this.#connection.use((link) =>
        link.execute<ResultSetHeader>(sql, [olderThan / 1000]),
      );
      return affectedRows;
    }, onProgress);
    await this.#purgeRevocations();
    if (optimize) {
      await this.#connection.use((link) => link.query(this.#sql.optimize), MAINTENANCE_MS);
    }
    return deleted;
  }

  install(): Promise<Installed> {
    return this.#connection.use(
      (link) => installMysql(link, this.#config, this.#connection.name),
      MAINTENANCE_MS,
    );
  }

  schemaVersion(): Promise<number | undefined> {
    return this.#connection.use((link) => mysqlVersion(link, this.#config));
  }

  async caveats(): Promise<readonly Caveat[]> {
    if (!this.#config.mapped) return [];
    return this.#connection.use((link) => mysqlCaveats(link, this.#config));
  }

  skew(): Promise<number> {
    return this.#connection.use(async (link) => (await this.#clock.compare(link)).ahead);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #purgeRevocations(): Promise<void> {
    if (this.#config.mapped) return;
    await this.#connection.use((link) =>
      this.#revocations.use(
        async () =>
          void (await link.execute(this.#sql.purgeRevocations, [REVOCATION_KEPT_MS / 1000])),
        async () => undefined,
      ),
    );
  }

  /** @param start when this host's clock said `now`, by performance.now(): the verb may have had to wait for its turn */
  #compare(link: Link, now: number, start: number): Promise<Clocks> {
    return this.#clock.compare(link, now + performance.now() - start);
  }

  async #authorizations(
    link: Link,
    [rows]: readonly [readonly Found[], ...unknown[]],
  ): Promise<readonly Authorization[]> {
    if (rows.length === 0) return [];
    const clocks = await this.#clock.compare(link);
    return rows.flatMap((row) => authorization(row, clocks));
  }

  /** The server's clock, in milliseconds since 1970. */
  async #now(link: Link): Promise<number> {
    const [rows] = await link.execute<(RowDataPacket & { now: Date })[]>(this.#sql.clock);
    return rows[0]?.now.getTime() ?? NaN;
  }
}

/** There is a revocation since the first of these logins. */
class RevokedError extends Error {}

type Chunks = readonly (readonly SpelledRow[])[];

/** Statements of 100, 10 and 1 rows: the server keeps three prepared, whatever the batches' sizes. */
function inChunks(rows: readonly SpelledRow[]): Chunks {
  const chunks: (readonly SpelledRow[])[] = [];
  let done = 0;
  for (const size of [100, 10, 1]) {
    for (; rows.length - done >= size; done += size) chunks.push(rows.slice(done, done + size));
  }
  return chunks;
}

async function transaction<T>(link: Link, work: () => Promise<T>): Promise<T> {
  await link.beginTransaction();
  try {
    const result = await work();
    await link.commit();
    return result;
  } catch (error) {
    // where the connection is what failed, this fails too, and the first error is the one that counts
    await link.rollback().catch(() => {});
    throw error;
  }
}

/** None for a mapped table's row that is not about an address. */
function authorization(row: Found, clocks: Clocks): readonly Authorization[] {
  const address = parseAddress(row.address.toString());
  if (address === undefined) return [];
  const read = (time: Date) => new Date(clocks.read(time.getTime()));
  return [
    {
      address,
      user: row.user?.toString(),
      service: row.service?.toString(),
      firstSeen: row.first_seen === null ? undefined : read(row.first_seen),
      lastSeen: read(row.last_seen),
      logins: row.logins ?? undefined,
    },
  ];
}
