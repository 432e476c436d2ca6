import type { StoreConfig } from "./config.ts";

/**
 * The location of a store, for messages. Two stores never share a location, and the location does
 * not depend on the way to reach the store.
 */
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
