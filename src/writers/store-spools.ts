/**
 * With several stores, each has a spool of its own for the logins that it has not taken yet:
 *
 *     <spool>/stores/<driver>-<where>-<hash>/   a spool (spool.ts) without FIFOs
 *
 * So a store that is away neither delays the others nor loses logins. A single store needs none:
 * its logins stay in the main spool.
 */
import { createHash } from "node:crypto";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { reasonOf } from "../lib/errors.ts";
import { placeOf, type Config, type StoreConfig } from "../config/config.ts";
import { isOwnDirectory } from "../system/own-files.ts";
import { Spool } from "../spool/spool.ts";
import { inTurns } from "../lib/turns.ts";

/** The subdirectory of the spool for the stores' own spools. */
const HOME = "stores";

/**
 * The spool in which logins wait for a store: its own, or the main spool if there is no other
 * store.
 */
export function spoolOf(
  { spool, stores }: Pick<Config, "spool" | "stores">,
  store: StoreConfig,
): string {
  return stores.length === 1 ? spool : join(spool, HOME, directoryName(store));
}

/** The configuration with one store only. */
export function alone(config: Config, store: StoreConfig): Config {
  return { ...config, spool: spoolOf(config, store), stores: [store] };
}

/** A store and its own spool. */
export interface StoreSpool {
  readonly store: StoreConfig;
  readonly path: string;
}

/** The stores that have a spool of their own. */
export function withOwnSpool(config: Config): readonly StoreSpool[] {
  return config.stores
    .map((store) => ({ store, path: spoolOf(config, store) }))
    .filter(({ path }) => path !== config.spool);
}

/** Recognizable for people, and unique for each store location. */
function directoryName(store: StoreConfig): string {
  const place = placeOf(store);
  const words = place.replaceAll(/[^A-Za-z0-9.]+/g, "-").slice(0, 60);
  const hash = createHash("sha256").update(place).digest("hex").slice(0, 8);
  return `${words}-${hash}`;
}

/**
 * Moves the logins of stores that are no longer in the configuration, or have another name now,
 * into the main spool, from which they go to all configured stores. Writing a login twice changes
 * nothing.
 *
 * @param report takes a line about a login that could not be moved
 */
export async function reclaim(config: Config, report: (line: string) => void): Promise<void> {
  const kept = new Set(withOwnSpool(config).map(({ path }) => basename(path)));
  const home = join(config.spool, HOME);
  if (!isOwnDirectory(home)) return;
  for (const name of directories(home)) {
    if (kept.has(name)) continue;
    const path = join(home, name);
    try {
      await moveLogins(path, config.spool);
    } catch (error) {
      report(`spool: ${path}: ${reasonOf(error)}`);
    }
  }
}

async function moveLogins(from: string, to: string): Promise<void> {
  const { backlog } = await new Spool(from).survey();
  for await (const { name } of inTurns(backlog)) {
    renameSync(join(from, name), join(to, name));
  }
  // files that were set aside are left for the administrator
  if (!directories(from).includes("bad")) rmSync(from, { recursive: true });
}

function directories(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
