/** The hosts of one database: which of them takes writes, and is each as it should be? */
import type { ServerStoreConfig, StoreConfig } from "../../config/config.ts";
import { driver as mysqlDriver } from "../../stores/mysql/mysql-driver.ts";
import { driver as pgsqlDriver } from "../../stores/pgsql/pgsql-driver.ts";
import { examineHosts, type HostReport } from "../../stores/server/examine-hosts.ts";
import { ok, warning, type Finding } from "../findings/finding.ts";
import { lookAfter, passwordSql } from "./store-away.ts";

/** Asks each of several hosts; [] where there is one, whose state the store's own findings tell. */
export async function hostsFindings(store: StoreConfig): Promise<readonly Finding[]> {
  if (!("hosts" in store) || store.hosts.length < 2) return [];
  const reports =
    store.driver === "pgsql"
      ? await examineHosts(store, pgsqlDriver(store, store.writer))
      : await examineHosts(store, mysqlDriver(store, store.writer));
  return judgeHosts(store, reports);
}

/** A line for each host, and what is wrong with them together. */
export function judgeHosts(
  store: ServerStoreConfig,
  reports: readonly HostReport[],
): readonly Finding[] {
  const writable = reports.filter(({ standing }) => standing === "writable");
  return [
    ...reports.map((report) => hostFinding(store, report)),
    ...(writable.length === 0 ? noneFindings(store, reports) : []),
    ...(new Set(writable.map(({ identity }) => identity)).size > 1
      ? [apartFinding(store, writable)]
      : []),
  ];
}

function hostFinding(store: ServerStoreConfig, report: HostReport): Finding {
  const { host, place, standing, problem: reason = "" } = report;
  switch (standing) {
    case "writable":
      return ok(`${place}: takes writes`);
    case "read-only":
      return ok(`${place}: ${reason}`);
    case "refused":
      return warning(
        `${place}: rejects popbsmtp: ${reason}`,
        `${passwordSql(store, store.writer.user)}    -- on that host, as the database's administrator`,
      );
    case "away":
      return warning(`${place}: cannot be reached: ${reason}`, lookAfter(store, host));
  }
}

/** The store's own findings tell that it is away. */
function noneFindings(
  { driver }: ServerStoreConfig,
  reports: readonly HostReport[],
): readonly Finding[] {
  const [first] = reports.filter(({ standing }) => standing === "read-only");
  if (first === undefined) return [];
  const { place, problem: reason = "" } = first;
  const remedy = reason.includes("Galera")
    ? "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES';    -- on one node of the part of the cluster that is to continue"
    : driver === "mysql"
      ? "SET GLOBAL read_only = 0;    -- on the host that is to be the primary"
      : reason.includes("standby")
        ? "SELECT pg_promote();    -- on the standby that is to be the primary"
        : "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();    -- on the primary";
  return [warning(`no host takes writes, though ${place} can be reached`, remedy)];
}

/** Two primaries, each of which takes logins that the other does not know. */
function apartFinding({ driver }: ServerStoreConfig, writable: readonly HostReport[]): Finding {
  const places = writable.map(({ place }) => place).join(" and ");
  return warning(
    `${places} take writes, and are different servers: a login goes to one of them, and hosts that use the other do not know it`,
    driver === "pgsql"
      ? "pg_rewind    # makes the old primary a standby of the new one; or stop it"
      : "SET GLOBAL read_only = 1;    -- on every host but the primary",
  );
}
