/** Whether a store that does not work is down, or rejects the account: the advice differs. */
import type { Config, ServerStoreConfig, StoreConfig } from "../../config/config.ts";
import type { StoreAwayError } from "../../lib/errors.ts";
import { problem, type Finding } from "../findings/finding.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp, shellWord } from "../findings/words.ts";

/** SQLSTATEs and error numbers for an unknown account or a wrong password. */
const REFUSED: readonly unknown[] = ["28P01", "28000", 1045, 1698];

/** SQLSTATEs and error numbers for a database that does not exist, or is closed to the account. */
const NO_DATABASE: readonly unknown[] = ["3D000", 1049, 1044];

export function awayFinding(
  { config, daemon }: Pick<Subject, "config" | "daemon">,
  store: StoreConfig,
  error: StoreAwayError,
): Finding {
  const refused = refusedFinding(config, store, error);
  if (refused !== undefined) return refused;
  const [text = "", remedy] = bare(error).split("; run: ");
  if (remedy !== undefined) return problem(text, ...installAdvice(config, store));
  // unlike a server, a file does not come back by itself
  if ("path" in store) return problem(text, `namei -l ${shellWord(store.path)}`);
  return {
    ...problem(`${text}: ${meanwhile(daemon)}`, ...adviceOnOnlyHost(store)),
    outage: "store",
  };
}

/** A running server that rejects the account or the database: the fault will not pass by itself. */
export function refusedFinding(
  config: Config,
  store: StoreConfig,
  error: Error,
): Finding | undefined {
  if (!("hosts" in store)) return undefined;
  const codes = codesOf(error);
  const where = config.path ?? "popbsmtp.toml";
  const text = `${bare(error)}: logins wait in the spool until that is fixed`;
  if (codes.some((code) => REFUSED.includes(code))) {
    const account = /\buser ["']([^"'@]+)["']/.exec(error.message)?.[1] ?? store.writer.user;
    const section = account === store.purger?.user ? "[store.purger]" : "[store]";
    return problem(
      text,
      `${passwordSql(store, account)}    -- as the database's administrator: the password that password-file in ${section} has`,
      `password-file = "..."    # or in ${section} of ${where}: the file with the right one`,
    );
  }
  if (codes.some((code) => NO_DATABASE.includes(code))) {
    return problem(
      text,
      `database = "..."    # in [store] of ${where}: the right one, or:`,
      ...create(config, store),
    );
  }
  return undefined;
}

export function passwordSql({ driver }: ServerStoreConfig, account: string): string {
  return driver === "pgsql"
    ? `ALTER ROLE ${account} PASSWORD '...';`
    : `ALTER USER ${account}@'%' IDENTIFIED BY '...' ACCOUNT UNLOCK;`;
}

/** The account that creates the tables may need more rights than the one that writes. */
export function installAdvice(config: Config, store: StoreConfig): readonly string[] {
  const install = `${popbsmtp(config)} schema install`;
  if (!("hosts" in store)) return [install];
  return [
    `${install}    # where ${store.writer.user} may create tables; else, as the database's administrator:`,
    `${popbsmtp(config)} schema print | ${administrator(store)}`,
    `${popbsmtp(config)} schema print --roles | ${administrator(store)}`,
  ];
}

function create(config: Config, store: ServerStoreConfig): readonly string[] {
  const { database, driver } = store;
  const command =
    driver === "pgsql"
      ? `runuser -u postgres -- createdb ${shellWord(database)}`
      : `mariadb -e ${shellWord(`CREATE DATABASE \`${database}\``)}`;
  return [command, ...installAdvice(config, store).slice(1)];
}

function administrator({ driver, database }: ServerStoreConfig): string {
  return driver === "pgsql"
    ? `runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -1 -d ${shellWord(database)}`
    : `mariadb ${shellWord(database)}`;
}

/** The state of logins while a store is down, when draining is no use. */
function meanwhile(daemon: number | undefined): string {
  return daemon === undefined
    ? "logins wait in the spool until it is back, and do not open the relay until then"
    : "logins wait in the spool until it is back; popbsmtp serve keeps them in memory and lets them relay, but a map that asks the database itself fails with 451";
}

/** Of several hosts each has a finding of its own (hosts-check.ts). */
function adviceOnOnlyHost(store: StoreConfig): readonly string[] {
  const [host, ...others] = "hosts" in store ? store.hosts : [];
  return "hosts" in store && host !== undefined && others.length === 0
    ? [lookAfter(store, host)]
    : [];
}

/** How to examine the server. */
export function lookAfter({ driver, port }: ServerStoreConfig, host: string): string {
  const unit = driver === "pgsql" ? "postgresql" : "mariadb";
  if (/^(?:\/|127\.|::1$|localhost$)/.test(host)) {
    return `systemctl restart ${unit}    # journalctl -u '${unit}*' says why it ended`;
  }
  return driver === "pgsql"
    ? `pg_isready -h ${shellWord(host)} -p ${String(port)}    # and on that host: systemctl status ${unit}`
    : `mariadb-admin -h ${shellWord(host)} -P ${String(port)} ping    # and on that host: systemctl status ${unit}`;
}

/** The error numbers of the driver, at any depth of causes. */
function codesOf(error: unknown): readonly unknown[] {
  if (!(error instanceof Error)) return [];
  const own = [
    "code" in error ? error.code : undefined,
    "errno" in error ? error.errno : undefined,
  ];
  const inner: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  return [...own, ...inner.flatMap(codesOf), ...codesOf(error.cause)];
}

/** The message of an error without the subject, which its area names already. */
export function bare(error: Error): string {
  return error.message.replace(/^store: /, "");
}
