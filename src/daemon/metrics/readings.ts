/** What is measured when Prometheus asks, rather than counted as it happens. */
import { counter, gauge, gauges } from "./exposition.ts";
import type { SpoolDepth, StoreReading } from "./spool-depth.ts";

/** Values that are read when Prometheus asks. */
export interface Readings {
  /** popbsmtp's. */
  readonly version: string;
  /** Node's. */
  readonly node: string;
  /** The store's. */
  readonly driver: string;
  /** The number of authorizations in memory. */
  readonly known: number;
  /** undefined if the spool cannot be read. */
  readonly spool: SpoolDepth | undefined;
  /** The state of each store. */
  readonly stores: readonly StoreReading[];
  /** The same of each of several hosts of one store. */
  readonly hosts: readonly HostReading[];
}

/** One of several hosts of a store. */
export interface HostReading {
  /** Where the store is. */
  readonly store: string;
  readonly host: string;
  /** Whether logins and lookups go there. */
  readonly isCurrent: boolean;
  /** Whether it took writes when it was last tried; undefined where it has not been. */
  readonly isUp: boolean | undefined;
}

/** The state of the stores and the spools. */
export function renderReadings(readings: Readings): string {
  const { version, node, driver, known, spool, stores, hosts } = readings;
  // of several stores, each by its name: then an alert says which
  const labelsOf = ({ store }: StoreReading) => (store === undefined ? {} : { store });
  const spools = [
    { labels: {}, spool },
    ...stores
      .filter(({ store }) => store !== undefined)
      .map((each) => ({ labels: labelsOf(each), spool: each.spool })),
  ];
  return [
    gauges(
      "popbsmtp_store_up",
      "Whether the store takes logins.",
      stores.map((each) => ({
        labels: labelsOf(each),
        value: each.isUp === undefined ? undefined : Number(each.isUp),
      })),
    ),
    gauges(
      "popbsmtp_spool_logins",
      "Logins that wait in the spool; with the label store, those that wait for this store only.",
      spools.map(({ labels, spool: depth }) => ({ labels, value: depth?.logins })),
    ),
    gauges(
      "popbsmtp_spool_oldest_seconds",
      "Age of the oldest of these logins, in seconds; 0 if there are none.",
      spools.map(({ labels, spool: depth }) => ({ labels, value: depth?.oldestSeconds })),
    ),
    ...(hosts.length === 0 ? [] : [renderHosts(hosts)]),
    gauge("popbsmtp_known_authorizations", "Authorizations kept in memory.", known),
    gauge(
      "popbsmtp_build_info",
      "Versions of popbsmtp and Node, and the driver of the store. Always 1.",
      1,
      { version, node, driver },
    ),
  ].join("");
}

function renderHosts(hosts: readonly HostReading[]): string {
  const samples = (value: (host: HostReading) => boolean | undefined) =>
    hosts.map((each) => {
      const is = value(each);
      return {
        labels: { store: each.store, host: each.host },
        value: is === undefined ? undefined : Number(is),
      };
    });
  return (
    gauges(
      "popbsmtp_store_host_up",
      "Whether this host of the store's database took writes when it was last tried.",
      samples(({ isUp }) => isUp),
    ) +
    gauges(
      "popbsmtp_store_host_current",
      "Whether logins and lookups go to this host of the store's database.",
      samples(({ isCurrent }) => isCurrent),
    )
  );
}

/** Under the names that Prometheus' client libraries use, for which dashboards exist. */
export function renderProcess(): string {
  const { user, system } = process.cpuUsage();
  return [
    counter(
      "process_cpu_seconds_total",
      "User and system CPU time spent, in seconds.",
      (user + system) / 1_000_000,
    ),
    gauge(
      "process_start_time_seconds",
      "Start time of the process, in seconds since the Unix epoch.",
      performance.timeOrigin / 1000,
    ),
    gauge("process_resident_memory_bytes", "Resident memory, in bytes.", process.memoryUsage.rss()),
  ].join("");
}
