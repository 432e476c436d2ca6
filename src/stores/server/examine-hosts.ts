/** Each of the hosts of a database, asked in its turn, for `doctor`. */
import type { ServerStoreConfig } from "../../config/config.ts";
import { withDeadline } from "../../lib/deadline.ts";
import type { Driver } from "./driver.ts";
import { placeOfHost } from "./hosts.ts";

/** How long a host may take to accept a connection, and again to answer. Milliseconds. */
const PATIENCE_MS = 3_000;

/** What a host says. */
export interface HostReport {
  readonly host: string;
  /** As messages name it: "db.example.org:5432". */
  readonly place: string;
  /** Why it takes no writes, or cannot be used at all; undefined where it takes writes. */
  readonly problem: string | undefined;
  /**
   * - writable
   * - read-only: it can be reached, and takes no writes
   * - refused: it rejects the account or the database
   * - away: it cannot be reached
   */
  readonly standing: "writable" | "read-only" | "refused" | "away";
  /**
   * The same for two ways to one server, and for the nodes of a cluster; undefined where it is not
   * known.
   */
  readonly identity: string | undefined;
}

/** Asks all of them at once, each on a connection of its own. */
export function examineHosts<Link>(
  config: ServerStoreConfig,
  driver: Driver<Link>,
): Promise<readonly HostReport[]> {
  return Promise.all(
    config.hosts.map(async (host) => ({
      host,
      place: placeOfHost(config, host),
      ...(await examine(host, driver)),
    })),
  );
}

async function examine<Link>(
  host: string,
  driver: Driver<Link>,
): Promise<Pick<HostReport, "problem" | "standing" | "identity">> {
  try {
    const link = await driver.connect(host, PATIENCE_MS, () => undefined);
    try {
      const problem = await withDeadline(driver.readOnly(link), PATIENCE_MS);
      const identity = await withDeadline(driver.identity(link), PATIENCE_MS);
      return { problem, standing: problem === undefined ? "writable" : "read-only", identity };
    } finally {
      driver.destroy(link);
    }
  } catch (error) {
    const { kind, text } = driver.explain(error);
    const standing = kind === "refused" ? "refused" : "away";
    return { problem: text, standing, identity: undefined };
  }
}
