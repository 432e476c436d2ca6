import type { StoreConfig } from "./config.ts";

/** Where a store is, as people would say it; no two are at the same place, and how it is reached does not change it. */
export function placeOf(store: StoreConfig): string {
  switch (store.driver) {
    case "pgsql":
    case "mysql": {
      const { driver, hosts, port, database, table } = store;
      return `${driver} ${hosts.join(",")}:${port}/${database} ${table}`;
    }
    case "sqlite":
      return `${store.driver} ${store.path} ${store.table}`;
    case "relay-ctrl":
      return `${store.driver} ${store.path}`;
    case "relay-ctrl-udp":
      return `${store.driver} ${store.host}:${store.port}`;
    case "drac":
      return `${store.driver} ${store.host}`;
  }
}
