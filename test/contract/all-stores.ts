import type { Config } from "../../src/config/config.ts";
import type { Store } from "../../src/stores/store.ts";
import { openStores, openWriters, type OpenStoresOptions } from "../../src/writers/open-stores.ts";

/** All configured stores, for logins and for questions, through one handle. */
export function openAll(config: Config, options: Omit<OpenStoresOptions, "role"> = {}): Store {
  const { hurry = false, report = () => undefined } = options;
  const stores = openStores(config, options);
  const writers = openWriters(config, { now: Date.now, isAwaited: hurry, report });
  return {
    name: stores.name,
    authorize: (batch, now) => writers.authorize(batch, now),
    lookup: (address) => stores.lookup(address),
    list: (which) => stores.list(which),
    count: () => stores.count(),
    revoke: (which) => stores.revoke(which),
    purge: (which) => stores.purge(which),
    install: () => stores.install(),
    schemaVersion: () => stores.schemaVersion(),
    close: async () => {
      await Promise.all([stores.close(), writers.close()]);
    },
  };
}
