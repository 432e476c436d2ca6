/**
 * The spool that each of several stores has of its own for what it has not taken yet:
 *
 *     <spool>/stores/<driver>-<where>-<hash>/     logins (keep.ts) and all that a spool has but FIFOs (spool.ts)
 *
 * So one that is away holds up no other, and misses nothing. A single store has no need of that: what it has not taken stays in the
 * spool.
 */
import { createHash } from "node:crypto";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { reasonOf } from "../lib/errors.ts";
import { placeOf, type Config, type StoreConfig } from "../config/config.ts";
import { isOwnDirectory } from "../system/own-files.ts";
import { Spool } from "../spool/spool.ts";
import { inTurns } from "../lib/turns.ts";

/** The part of a spool that belongs to one of several stores. */
const HOME = "stores";

/** The spool where logins wait for a store: its own, or the spool itself where there is no other store. */
export function spoolOf(
  { spool, stores }: Pick<Config, "spool" | "stores">,
  store: StoreConfig,
): string {
  return stores.length === 1 ? spool : join(spool, HOME, directoryName(store));
}

/** The configuration as one of its stores sees it. */
export function alone(config: Config, store: StoreConfig): Config {
  return { ...config, spool: spoolOf(config, store), stores: [store] };
}

/** A store, and the spool that it has of its own. */
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

/** For people to recognise, and different for different places. */
function directoryName(store: StoreConfig): string {
  const place = placeOf(store);
  const words = place.replaceAll(/[^A-Za-z0-9.]+/g, "-").slice(0, 60);
  const hash = createHash("sha256").update(place).digest("hex").slice(0, 8);
  return `${words}-${hash}`;
}

/**
 * Moves what waits for a store that is not in the configuration any more, or not under this name, into the spool: from there it goes
 * to all that are. Written twice changes nothing.
 *
 * @param report takes a line about what could not be moved
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
  // what was set aside there is for people to look at
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
