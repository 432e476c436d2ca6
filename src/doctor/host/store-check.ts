/** Whether the store can be reached, and works. */
import { parseAddress, type Address } from "../../login/address.ts";
import type { Time } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/duration.ts";
import { hasTable, type Config, type StoreConfig } from "../../config/config.ts";
import { PopbsmtpError, StoreAwayError } from "../../lib/errors.ts";
import { isStore, type OneWaySink, type Store } from "../../stores/store.ts";
import { purgeJob } from "./cron-check.ts";
import { counted, ok, problem, warning, type Finding } from "../findings/finding.ts";
import type { Subject } from "../findings/subject.ts";
import { awayFinding, bare, installAdvice, refusedFinding } from "./store-away.ts";
import { popbsmtp, shellWord, span } from "../findings/words.ts";

/**
 * Clocks that differ by more shift authorizations (warning), or noticeably shorten or prolong them
 * (problem), in milliseconds.
 */
const CLOCK_MS = { warning: 2_000, problem: 60_000 };

/** If purge runs every hour, no row has been expired for longer than this, in milliseconds. */
const UNPURGED_MS = 2 * 3_600_000;

/** The age of the trial row, which exceeds any lifetime (at most seven days), in milliseconds. */
const TRIAL_AGE_MS = 30 * 86_400_000;

interface Handles {
  readonly writer: Store | OneWaySink;
  readonly purger: Store | OneWaySink;
  /** The schema version that this program needs. */
  readonly version: number;
}

/** @param store the configuration of the store */
export async function storeFindings(
  { config, daemon, now }: Pick<Subject, "config" | "daemon" | "now">,
  store: StoreConfig,
  { writer, purger, version }: Handles,
): Promise<readonly Finding[]> {
  try {
    if (!isStore(writer) || !isStore(purger)) return [await oneWayFinding(store, writer)];
    const stores = { writer, purger, version };
    const found = await writer.schemaVersion();
    const schema = schemaFinding(config, store, stores, found);
    if (schema.level === "problem") return [schema];
    return [
      schema,
      ...((await writer.caveats?.()) ?? []).map(({ text, remedy }) => warning(text, remedy)),
      await rights(stores, config, store, now),
      ...clockFindings(await writer.skew?.()),
      await rows(config, daemon, writer, now),
    ];
  } catch (error) {
    if (!(error instanceof StoreAwayError)) throw error;
    return [awayFinding({ config, daemon }, store, error)];
  }
}

/** A daemon on another host is asked for nothing but whether it is there. */
async function oneWayFinding({ driver }: StoreConfig, sink: Store | OneWaySink): Promise<Finding> {
  if (!isStore(sink)) await sink.probe();
  const shown =
    driver === "drac"
      ? "reached; only a login shows whether this host may report to it"
      : "only a login shows whether it works";
  return ok(`${sink.name}: ${shown}`);
}

interface ReachedStore {
  readonly writer: Store;
  readonly purger: Store;
  readonly version: number;
}

function schemaFinding(
  config: Config,
  store: StoreConfig,
  { writer, version }: ReachedStore,
  found: number | undefined,
): Finding {
  if (!hasTable(store)) return ok(`${writer.name}: reached`);
  if (found === undefined) return ok(`${writer.name}: reached; the table is your own`);
  if (found === version) return ok(`${writer.name}: reached; schema version ${String(found)}`);
  if (found > version) {
    return problem(
      `${writer.name}: schema version ${String(found)}, but this popbsmtp supports ${String(version)}`,
      "upgrade popbsmtp on this host",
    );
  }
  const what =
    found === 0
      ? "at least one table is missing"
      : `schema version ${String(found)}; this popbsmtp needs ${String(version)}`;
  return problem(
    `${writer.name}: ${what}: no login is written to it`,
    ...installAdvice(config, store),
  );
}

/**
 * Whether the accounts can delete and write. Deletes a row that does not exist, then writes an
 * expired row and deletes that: it never authorizes an address. The address belongs to no host (RFC
 * 5737).
 */
async function rights(
  { writer, purger }: ReachedStore,
  config: Config,
  store: StoreConfig,
  now: Time,
): Promise<Finding> {
  const address = trialAddress();
  const roles = `${popbsmtp(config)} schema print --roles    # what each account has to be granted`;
  try {
    await purger.revoke({ address });
    await writer.authorize(
      [{ address, user: "", service: "doctor", time: now - TRIAL_AGE_MS }],
      now,
    );
    await purger.revoke({ address });
  } catch (error) {
    if (!(error instanceof PopbsmtpError)) throw error;
    const refused = refusedFinding(config, store, error);
    if (refused !== undefined) return refused;
    return problem(
      `it can be reached, but: ${bare(error)}`,
      ...("path" in store ? [`ls -ld ${shellWord(store.path)}`] : [roles]),
    );
  }
  return ok("a test row was written and deleted");
}

function trialAddress(): Address {
  const address = parseAddress("192.0.2.0");
  if (address === undefined) throw new Error("192.0.2.0 is an address");
  return address;
}

function clockFindings(skew: number | undefined): readonly Finding[] {
  if (skew === undefined) return [];
  const off = Math.abs(skew);
  if (off <= CLOCK_MS.warning) return [ok("its clock agrees with this host's")];
  const text = `its clock is ${span(off)} ${skew > 0 ? "ahead of" : "behind"} this host's`;
  const advice =
    "timedatectl set-ntp true    # on both hosts; timedatectl timesync-status shows how far off";
  return [off > CLOCK_MS.problem ? problem(text, advice) : warning(text, advice)];
}

async function rows(
  config: Config,
  daemon: number | undefined,
  store: Store,
  now: Time,
): Promise<Finding> {
  const { live, all, oldest } = await store.count();
  const text = `${counted(live, "live authorization")}, ${String(all - live)} expired`;
  const overdue = oldest === undefined ? 0 : now - oldest.getTime() - config.lifetime;
  const interval = daemon === undefined ? 0 : config.serve.purgeInterval;
  if (overdue <= Math.max(UNPURGED_MS, 2 * interval)) {
    return ok(`${text} (lifetime ${formatDuration(config.lifetime)})`);
  }
  const late = `${text}, the first of them for ${span(overdue)}:`;
  const purge = `${popbsmtp(config)} purge    # says why`;
  if (interval > 0) return warning(`${late} popbsmtp serve does not purge`, purge);
  const job = purgeJob();
  if (job !== undefined) {
    return warning(`${late} ${job} exists, but does not purge every hour`, purge);
  }
  return warning(
    daemon === undefined
      ? `${late} nothing purges them: no daemon is running, and cron has no job for it`
      : `${late} nothing purges them: serve.purge-interval is "0s", and cron has no job for it`,
    ...(daemon === undefined ? [] : ['purge-interval = "1h"    # in [serve]; or:']),
    `${popbsmtp(config)} print cron > /etc/cron.d/popbsmtp`,
  );
}
