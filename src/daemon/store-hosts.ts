/** Reports the hosts of a store's database. */
import {
  placeOf,
  type Config,
  type ServerStoreConfig,
  type StoreConfig,
} from "../config/config.ts";
import { Hosts } from "../stores/server/hosts.ts";
import type { Log } from "./log/log.ts";
import type { HostReading } from "./metrics/readings.ts";

/** Logs which host of each store is in use, at the start and at each change. */
export function logHosts({ stores }: Pick<Config, "stores">, log: Log): void {
  for (const store of withSeveralHosts(stores)) {
    Hosts.of(store).follow(({ host, from, reason }) => {
      const fields = { store: placeOf(store), host, from, reason };
      if (from === undefined) log.info("store-host", fields);
      else log.warning("store-host", fields);
    });
  }
}

/** The state of each host, for the metrics. */
export function hostReadings({ stores }: Pick<Config, "stores">): readonly HostReading[] {
  return withSeveralHosts(stores).flatMap((store) =>
    Hosts.of(store).states.map(({ place, isCurrent, problem }) => ({
      store: placeOf(store),
      host: place,
      isCurrent,
      isUp: isCurrent ? true : problem === undefined ? undefined : false,
    })),
  );
}

/**
 * Keeps the hosts in use across a reload: the first in the list may be an old primary that is back
 * but behind.
 */
export function keepHosts(before: Pick<Config, "stores">, after: Pick<Config, "stores">): void {
  const old = new Map(withSeveralHosts(before.stores).map((store) => [placeOf(store), store]));
  for (const store of withSeveralHosts(after.stores)) {
    const same = old.get(placeOf(store));
    if (same !== undefined) Hosts.of(store).goOnWith(Hosts.of(same));
  }
}

function withSeveralHosts(stores: readonly StoreConfig[]): readonly ServerStoreConfig[] {
  return stores.filter((store) => "hosts" in store).filter(({ hosts }) => hosts.length > 1);
}
