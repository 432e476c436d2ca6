import { randomUUID } from "node:crypto";
import type { TableStoreConfig } from "../../config/config.ts";
import { monotonicClock, type Time } from "../../lib/clock.ts";
import type { Address } from "../../login/address.ts";
import { REVOCATION_KEPT_MS, type Login } from "../../login/login.ts";
import { recorded, revokeForGood } from "../revocation.ts";
import type {
  Authorization,
  Caveat,
  Count,
  Installed,
  PurgeOptions,
  Revocation,
  Store,
} from "../store.ts";
import type { Dialect, Link, Statement, Value } from "./dialect.ts";
import { MAINTENANCE_MS } from "../server/driver.ts";
import { purgeInBatches } from "./purge-batches.ts";
import { revoked, RevocationTable } from "./revocation-table.ts";
import { authorizations, count, mergeLogins, spelled, timeOf } from "./rows.ts";
import { StoreClock } from "./store-clock.ts";
import { installTable, tableVersion } from "./table-install.ts";

/** Authorizations in a table of a database. */
export class TableStore<L extends Link> implements Store {
  readonly #config: TableStoreConfig;
  readonly #dialect: Dialect<L>;
  /** Seconds. */
  readonly #lifetime: number;
  readonly #clock: StoreClock<L>;
  readonly #revocations: RevocationTable;

  /** @param lifetime how long after a login its address may relay. Milliseconds */
  constructor(config: TableStoreConfig, lifetime: number, dialect: Dialect<L>) {
    this.#config = config;
    this.#dialect = dialect;
    this.#lifetime = lifetime / 1000;
    const { clock } = dialect.sql;
    this.#clock = new StoreClock(async (link) =>
      clock === undefined ? Date.now() : (timeOf((await link.rows(clock))[0]?.["now"]) ?? NaN),
    );
    this.#revocations = new RevocationTable((error) => dialect.isMissing(error, "_revocations"));
  }

  get name(): string {
    return this.#dialect.name;
  }

  async authorize(batch: readonly Login[], now: Time): Promise<void> {
    if (batch.length === 0) return;
    const merged = mergeLogins(batch, this.#config.columns.user !== undefined);
    const start = monotonicClock();
    await this.#dialect.use(async (link) => {
      // it may have had to wait for its turn
      const clocks = await this.#clock.compare(link, now + monotonicClock() - start);
      const rows = spelled(merged, clocks);
      if (this.#config.mapped) return this.#dialect.write(link, rows);
      return this.#revocations.use(
        () => this.#dialect.writeUnrevoked(link, rows),
        () => this.#dialect.write(link, rows),
      );
    });
  }

  async lookup(address: Address): Promise<Authorization | undefined> {
    const found = await this.#find(this.#dialect.sql.lookup, [address, this.#lifetime]);
    return found[0];
  }

  list({ all = false } = {}): Promise<readonly Authorization[]> {
    const { listAll, listLive } = this.#dialect.sql;
    return all ? this.#find(listAll) : this.#find(listLive, [this.#lifetime]);
  }

  count(): Promise<Count> {
    return this.#dialect.use(async (link) => {
      const [row = {}] = await link.rows(this.#dialect.sql.count, [this.#lifetime]);
      return count(row, await this.#clock.compare(link));
    });
  }

  async revoke(which: Revocation): Promise<number> {
    const dialect = this.#dialect;
    const deletion = dialect.sql.revoke(revoked(this.#config, which));
    const end = () => dialect.use((link) => link.run(deletion.text, deletion.values));
    if (this.#config.mapped) return end();
    return revokeForGood(end, () => dialect.record([randomUUID(), ...recorded(which)], deletion));
  }

  async purge({
    olderThan = this.#lifetime * 1000,
    batchSize = 1_000,
    optimize = false,
    onProgress,
  }: PurgeOptions = {}): Promise<number> {
    const { sql } = this.#dialect;
    const statement = { text: sql.purge(batchSize), values: [olderThan / 1000] };
    const deleted = await purgeInBatches(
      () => this.#dialect.use((link) => this.#purgeBatch(link, statement)),
      onProgress,
    );
    if (!this.#config.mapped) await this.#dialect.use((link) => this.#purgeRevocations(link));
    if (optimize) await this.#script(sql.optimize);
    if (sql.checkpoint !== undefined) await this.#script(sql.checkpoint);
    return deleted;
  }

  async install(): Promise<Installed> {
    await this.#dialect.schema.create?.();
    return this.#dialect.use(
      (link) => installTable(link, this.#config, this.#dialect),
      MAINTENANCE_MS,
    );
  }

  schemaVersion(): Promise<number | undefined> {
    return this.#dialect.use((link) => tableVersion(link, this.#config, this.#dialect.schema));
  }

  async caveats(): Promise<readonly Caveat[]> {
    if (!this.#config.mapped) return [];
    return this.#dialect.use((link) => this.#dialect.schema.caveats(link));
  }

  async skew(): Promise<number | undefined> {
    if (this.#dialect.sql.clock === undefined) return undefined;
    return this.#dialect.use(async (link) => (await this.#clock.compare(link)).ahead);
  }

  close(): Promise<void> {
    return this.#dialect.close();
  }

  #find(text: string, values?: Value[]): Promise<readonly Authorization[]> {
    return this.#dialect.use(async (link) => {
      const rows = await link.rows(text, values);
      return rows.length === 0 ? [] : authorizations(rows, await this.#clock.compare(link));
    });
  }

  #purgeBatch(link: L, statement: Statement): Promise<number> {
    return (
      this.#dialect.purgeBatch?.(link, statement) ?? link.run(statement.text, statement.values)
    );
  }

  #purgeRevocations(link: L): Promise<number> {
    const { purgeRevocations } = this.#dialect.sql;
    return this.#revocations.use(
      () => link.run(purgeRevocations, [REVOCATION_KEPT_MS / 1000]),
      () => Promise.resolve(0),
    );
  }

  #script(text: string): Promise<void> {
    return this.#dialect.use((link) => link.script(text), MAINTENANCE_MS);
  }
}
