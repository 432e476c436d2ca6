import type { TableStoreConfig } from "../../config/config.ts";
import type { Installed } from "../store.ts";
import type { Dialect, Link, Schema } from "./dialect.ts";
import {
  identifier,
  quoter,
  refuseNewer,
  repairFrom,
  SCHEMA_VERSION,
  upgrades,
} from "./table-schema.ts";

/** Creates or upgrades the tables. Only looks at a mapped one, which has to exist. */
export async function installTable<L extends Link>(
  link: L,
  config: TableStoreConfig,
  { name, schema }: Pick<Dialect<L>, "name" | "schema">,
): Promise<Installed> {
  if (config.mapped) return { from: await tableVersion(link, config, schema), to: undefined };
  return schema.alone(link, async () => {
    const version = (await tableVersion(link, config, schema)) ?? 0;
    const revocations = await schema.columns(link, "_revocations");
    const from = repairFrom(version, revocations.length > 0);
    refuseNewer(name, from);
    if (from === 0) await schema.convert(link);
    for (const { sql } of upgrades(config, from)) await link.script(sql);
    return { from, to: SCHEMA_VERSION };
  });
}

/**
 * The installed version, 0 where a table is missing; undefined for a mapped table, which has to
 * exist.
 */
export async function tableVersion<L extends Link>(
  link: L,
  config: TableStoreConfig,
  schema: Schema<L>,
): Promise<number | undefined> {
  if (config.mapped) {
    const columns = Object.values(config.columns).filter((column) => column !== undefined);
    const names = columns.map(quoter(config)).join(", ");
    await link.rows(`SELECT ${names} FROM ${identifier(config)} LIMIT 0`);
    return undefined;
  }
  for (const suffix of ["_schema", ""]) {
    if ((await schema.columns(link, suffix)).length === 0) return 0;
  }
  const record = identifier(config, "_schema");
  const [row] = await link.rows(`SELECT max(version) AS version FROM ${record}`);
  return Number(row?.["version"] ?? 0);
}
