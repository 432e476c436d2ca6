import { randomUUID } from "node:crypto";
import type { Client, QueryConfig, QueryResultRow } from "pg";
import { parseAddress, type Address } from "../../login/address.ts";
import type { Account, ServerStoreConfig } from "../../config/config.ts";
import type { Login } from "../../login/login.ts";
import { mergeLogins, spelled, utcText } from "../table/rows.ts";
import { Connection, MAINTENANCE_MS } from "../table/connection.ts";
import { pgsqlCaveats } from "./pgsql-caveats.ts";
import { installPgsql, pgsqlVersion } from "./pgsql-install.ts";
import { driver, isMissing, isUnkeyed, isUnprepared } from "./pgsql-driver.ts";
import { statements } from "./pgsql-sql.ts";
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

interface Row extends QueryResultRow {
  readonly address: string;
  readonly user: string | null;
  readonly service: string | null;
  readonly first_seen: number | null;
  readonly last_seen: number;
  readonly logins: number | null;
}

/** Authorizations in PostgreSQL, 9.5 or newer. */
export class PgsqlStore implements Store {
  readonly #config: ServerStoreConfig;
  readonly #lifetime: number;
  readonly #connection: Connection<Client>;
  readonly #sql: ReturnType<typeof statements>;
  readonly #clock = new StoreClock<Client>((client) => this.#now(client));
  readonly #revocations: RevocationTable;
  /** A pooler in transaction mode (pgbouncer) keeps no prepared statements; the first refusal tells. */
  #unprepared = false;
  /** A mapped table need not have a key that ON CONFLICT can use; the first refusal tells. */
  #unkeyed = false;

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
    const merged = mergeLogins(batch, this.#config.columns.user !== undefined);
    await this.#use(async (client) => {
      const rows = spelled(merged, await this.#compare(client, now, start));
      const values = [
        rows.map((row) => row.address),
        rows.map((row) => row.user),
        rows.map((row) => row.service),
        rows.map((row) => `${utcText(row.firstSeen)}Z`),
        rows.map((row) => `${utcText(row.lastSeen)}Z`),
        rows.map((row) => row.logins),
      ];
      const upsert = () => client.query(this.#statement("authorize", this.#sql.upsert, values));
      if (!this.#config.mapped) {
        const earliest = rows.map((row) => `${utcText(row.earliest)}Z`);
        await this.#revocations.use(
          () =>
            client.query(
              this.#statement("authorize-unrevoked", this.#sql.upsertUnrevoked, [
                ...values,
                earliest,
              ]),
            ),
          upsert,
        );
        return;
      }
      if (!this.#unkeyed) {
        try {
          await upsert();
          return;
        } catch (error) {
          if (!isUnkeyed(error)) throw error;
          this.#unkeyed = true;
        }
      }
      await transaction(client, async () => {
        // nothing but this lock keeps two writers from inserting the same address twice
        await client.query(this.#sql.lock);
        await client.query(this.#statement("authorize-unkeyed", this.#sql.updateOrInsert, values));
      });
    });
  }

  async lookup(address: Address): Promise<Authorization | undefined> {
    const values = [address, this.#lifetime / 1000];
    const found = await this.#use(async (client) =>
      this.#authorizations(
        client,
        await client.query<Row>(this.#statement("lookup", this.#sql.lookup, values)),
      ),
    );
    return found[0];
  }

  async list({ all = false } = {}): Promise<readonly Authorization[]> {
    return this.#use(async (client) =>
      this.#authorizations(
        client,
        all
          ? await client.query<Row>(this.#sql.listAll)
          : await client.query<Row>(this.#sql.listLive, [this.#lifetime / 1000]),
      ),
    );
  }

  async count(): Promise<Count> {
    return this.#use(async (client) => {
      const { rows } = await client.query<{ live: number; all: number; oldest: number | null }>(
        this.#sql.count,
        [this.#lifetime / 1000],
      );
      const { live = 0, all = 0, oldest = null } = rows[0] ?? {};
      if (oldest === null) return { live, all, oldest: undefined };
      const clocks = await this.#clock.compare(client);
      return { live, all, oldest: new Date(clocks.read(oldest)) };
    });
  }

  async revoke(which: Revocation): Promise<number> {
    const conditions = revoked(this.#config, which);
    const text = this.#sql.revoke(conditions);
    const values = conditions.map(({ value }) => value);
    const end = async (client: Client) => (await client.query(text, values)).rowCount ?? 0;
    if (this.#config.mapped) return this.#use(end);
    const record = (client: Client) =>
      transaction(client, async () => {
        await client.query(this.#sql.lockOutWriters);
        await client.query(this.#sql.recordRevocation, [randomUUID(), ...recorded(which)]);
        return end(client);
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
        this.#use((client) =>
          transaction(client, async () => {
            await client.query(this.#sql.giveWay);
            const { rowCount } = await client.query(this.#sql.purge, [olderThan / 1000, batchSize]);
            return rowCount ?? 0;
          }),
        ),
      onProgress,
    );
    await this.#purgeRevocations();
    if (optimize) {
      await this.#use((client) => client.query(this.#sql.optimize), MAINTENANCE_MS);
    }
    return deleted;
  }

  install(): Promise<Installed> {
    return this.#use(
      (client) =>
        transaction(client, () => installPgsql(client, this.#config, this.#connection.name)),
      MAINTENANCE_MS,
    );
  }

  schemaVersion(): Promise<number | undefined> {
    return this.#use((client) => pgsqlVersion(client, this.#config));
  }

  async caveats(): Promise<readonly Caveat[]> {
    if (!this.#config.mapped) return [];
    return this.#connection.use((client) => pgsqlCaveats(client, this.#config));
  }

  skew(): Promise<number> {
    return this.#use(async (client) => (await this.#clock.compare(client)).ahead);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #purgeRevocations(): Promise<void> {
    if (this.#config.mapped) return;
    await this.#use((client) =>
      this.#revocations.use(
        async () =>
          void (await client.query(this.#sql.purgeRevocations, [REVOCATION_KEPT_MS / 1000])),
        async () => undefined,
      ),
    );
  }

  #use<T>(work: (client: Client) => Promise<T>, limit?: number): Promise<T> {
    return this.#connection.use(async (client) => {
      try {
        return await work(client);
      } catch (error) {
        if (this.#unprepared || !isUnprepared(error)) throw error;
        this.#unprepared = true;
        return work(client);
      }
    }, limit);
  }

  /** @param start when this host's clock said `now`, by performance.now(): the verb may have had to wait for its turn */
  #compare(client: Client, now: number, start: number): Promise<Clocks> {
    return this.#clock.compare(client, now + performance.now() - start);
  }

  async #authorizations(
    client: Client,
    { rows }: { readonly rows: readonly Row[] },
  ): Promise<readonly Authorization[]> {
    if (rows.length === 0) return [];
    const clocks = await this.#clock.compare(client);
    return rows.flatMap((row) => authorization(row, clocks));
  }

  /** A statement that the server prepares once a connection, where that can be. */
  #statement(name: string, text: string, values: unknown[]): QueryConfig {
    return this.#unprepared ? { text, values } : { name, text, values };
  }

  /** The server's clock, in milliseconds since 1970. */
  async #now(client: Client): Promise<number> {
    const { rows } = await client.query<{ now: number }>(this.#sql.clock);
    return rows[0]?.now ?? NaN;
  }
}

async function transaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query("BEGIN");
  try {
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    // where the connection is what failed, this fails too, and the first error is the one that counts
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** None for a mapped table's row that is not about an address. */
function authorization(row: Row, clocks: Clocks): readonly Authorization[] {
  const address = parseAddress(row.address);
  if (address === undefined) return [];
  return [
    {
      address,
      user: row.user ?? undefined,
      service: row.service ?? undefined,
      firstSeen: row.first_seen === null ? undefined : new Date(clocks.read(row.first_seen)),
      lastSeen: new Date(clocks.read(row.last_seen)),
      logins: row.logins ?? undefined,
    },
  ];
}
