/** The stores of a configuration, which a reload replaces; their health goes to log and metrics. */
import { placeOf, type Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { WriterGroup } from "../writers/group.ts";
import type { OpenStoresOptions, OpenWritersOptions } from "../writers/open-stores.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

/** Opens the configured stores. */
export interface OpenConfigured {
  readonly writers: (config: Config, options: OpenWritersOptions) => Promise<WriterGroup>;
  readonly stores: (config: Config, options: OpenStoresOptions) => Promise<StoreGroup>;
}

/** The stores of one configuration, for logins and for lookups. */
export interface ConfiguredStores {
  readonly writers: WriterGroup;
  readonly lookups: StoreGroup;
}

/** Opens stores, and is told what becomes of them. */
export interface OpeningOptions {
  readonly open: OpenConfigured;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: Clock;
}

/** @throws PopbsmtpError if one cannot be opened */
export async function openStores(
  { open, log, metrics, now }: OpeningOptions,
  config: Config,
): Promise<ConfiguredStores> {
  const writers = await open.writers(config, {
    now,
    onStatement: (source, logins, seconds, error) => {
      metrics.batch(source, logins, seconds, error === undefined);
      const failed = error === undefined ? undefined : reasonOf(error);
      log.debug("batch", { source, logins, ms: Math.round(seconds * 1000), failed });
    },
    onHealth: (store, why) => {
      const place = placeOf(store);
      if (why === undefined) log.info("store-back", { store: place });
      else log.warning("store-away", { store: place, reason: why });
    },
  });
  return { writers, lookups: await open.stores(config, { hurry: true }) };
}

/** Resolves when the verbs under way have ended. */
export async function closeStores({ writers, lookups }: ConfiguredStores): Promise<void> {
  await Promise.all([writers.close(), lookups.close()]);
}
