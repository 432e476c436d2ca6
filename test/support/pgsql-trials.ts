/**
 * What befalls PostgreSQL's hosts while people log in: each trial for as long as its scale says.
 */
import assert from "node:assert/strict";
import { startHaproxy } from "./haproxy.ts";
import { install, type Installation } from "./installation.ts";
import { startPgbouncer } from "./pgbouncer.ts";
import { startPostgres, type PostgresServer } from "./postgres.ts";
import { knownElsewhere, Trial, useHosts, type Outcome, type Scale, type Site } from "./trial.ts";
import { startServe, type Serve } from "./serve.ts";
import { waitUntil } from "./wait-until.ts";

/** A primary and its standby, and a daemon that has the standby first in its list. */
export interface PgsqlSite extends AsyncDisposable {
  readonly box: Installation;
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly serve: Serve;
}

/** @param lines more for the section [serve] */
export async function startPgsqlSite(lines?: string): Promise<PgsqlSite> {
  await using stack = new AsyncDisposableStack();
  const primary = stack.use(await startPostgres());
  const box = stack.use(await install("pgsql", "", primary));
  const standby = stack.use(
    await startPostgres({ host: "127.0.0.2", port: primary.port, standbyOf: primary }),
  );
  useHosts(box, [standby.host, primary.host]);
  const serve = stack.use(await startServe(box, lines));
  const resources = stack.move();
  return {
    box,
    primary,
    standby,
    serve,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Starts a trial at a site, and waits until its standby has all that is there from the start. */
async function startTrial(name: string, site: PgsqlSite, scale: Scale): Promise<Trial> {
  const { primary, standby } = site;
  const trial = await Trial.start(name, [site], primary, scale);
  await hasCaughtUp(standby, primary);
  await trial.logins();
  return trial;
}

async function hasCaughtUp(standby: PostgresServer, primary: PostgresServer): Promise<void> {
  const [row] = await primary.query("SELECT pg_current_wal_lsn()::text AS lsn");
  await waitUntil("the standby to catch up", async () => {
    const [reached] = await standby.query(
      "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS reached",
      [row?.["lsn"]],
    );
    return reached?.["reached"] === true;
  });
}

async function promote(standby: PostgresServer): Promise<void> {
  await standby.query("SELECT pg_promote()");
}

/** Each commit waits for the standby: then none is lost where the primary dies. */
async function replicateSynchronously(primary: PostgresServer): Promise<void> {
  await primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
  await primary.query("SELECT pg_reload_conf()");
  await waitUntil("the standby to be synchronous", async () => {
    const rows = await primary.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    return rows.length === 1;
  });
}

/**
 * The primary is killed and the standby promoted; then the old primary is back, and takes writes
 * too.
 */
export async function killed(scale: Scale, site: PgsqlSite): Promise<Outcome> {
  const { primary, standby } = site;
  await replicateSynchronously(primary);
  await using trial = await startTrial("PostgreSQL: primary killed, standby promoted", site, scale);
  trial.happens();
  await primary.kill9();
  await trial.logins();
  await promote(standby);
  await trial.resumes(standby);
  await trial.logins();
  // split brain: what popbsmtp would write there, nobody would see
  await primary.start();
  await standby.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'popbsmtp'",
  );
  await trial.logins();
  return await trial.end();
}

/**
 * The standby is behind when the primary is killed: what it lacks, the daemon writes to it again.
 */
export async function killedAhead(scale: Scale, site: PgsqlSite): Promise<Outcome> {
  const { primary, standby } = site;
  const name = "PostgreSQL: primary killed, standby behind";
  await using trial = await startTrial(name, site, scale);
  await standby.query("ALTER SYSTEM SET primary_conninfo = ''");
  await standby.query("SELECT pg_reload_conf()");
  await waitUntil("the standby to receive nothing", async () => {
    const rows = await primary.query("SELECT 1 FROM pg_stat_replication");
    return rows.length === 0;
  });
  await trial.logins();
  trial.happens();
  await primary.kill9();
  await promote(standby);
  await trial.resumes(standby);
  await trial.logins();
  return await trial.end();
}

/**
 * The primary is shut down in an orderly way, the standby promoted, and the old primary becomes its
 * standby.
 */
export async function switchedOver(scale: Scale, site: PgsqlSite): Promise<Outcome> {
  const { primary, standby } = site;
  await using trial = await startTrial("PostgreSQL: planned switchover", site, scale);
  trial.happens();
  await primary.stop();
  await promote(standby);
  await trial.resumes(standby);
  await primary.startAsStandbyOf(standby);
  await trial.logins();
  await hasCaughtUp(primary, standby);
  await trial.logins();
  return await trial.end();
}

/** A synchronous standby hangs, and every commit with it. */
export async function hangsInCommit(scale: Scale, site: PgsqlSite): Promise<Outcome> {
  const { primary, standby } = site;
  await replicateSynchronously(primary);
  await using trial = await startTrial("PostgreSQL: synchronous standby hangs", site, scale);
  trial.happens();
  standby.pause();
  try {
    await trial.logins();
    await trial.logins();
  } finally {
    standby.resume();
  }
  await trial.resumes(primary);
  await trial.logins();
  return await trial.end();
}

/**
 * A pooler that gives each transaction another connection; the server behind it is started anew.
 */
export async function pooled(scale: Scale): Promise<Outcome> {
  await using server = await startPostgres();
  await using box = await install("pgsql", "", server);
  await using pooler = await startPgbouncer(server);
  useHosts(box, [pooler.host], pooler.port);
  await using serve = await startServe(box);
  const name = "PostgreSQL behind pgbouncer, restarted";
  await using trial = await Trial.start(name, [{ box, serve }], server, scale);
  await trial.logins();
  trial.happens();
  await server.stop();
  await trial.logins();
  await server.start();
  await trial.resumes(server);
  await trial.logins();
  return await trial.end();
}

/**
 * HAProxy cuts connections that are idle between two logins, and leads to the standby when the
 * primary is gone.
 */
export async function proxied({ logins }: Scale): Promise<Outcome> {
  await using primary = await startPostgres();
  await using box = await install("pgsql", "", primary);
  await using standby = await startPostgres({
    host: "127.0.0.2",
    port: primary.port,
    standbyOf: primary,
  });
  await replicateSynchronously(primary);
  await using proxy = await startHaproxy([primary, standby], 300);
  useHosts(box, [proxy.host], proxy.port);
  await using serve = await startServe(box);
  const name = "PostgreSQL behind HAProxy, idle connections cut, primary killed";
  const scale = { perSecond: 2, logins: Math.ceil(logins / 10) };
  await using trial = await Trial.start(name, [{ box, serve }], primary, scale);
  await trial.logins();
  trial.happens();
  await primary.kill9();
  await promote(standby);
  await trial.resumes(standby);
  await trial.logins();
  // what looks at the table in the end may be slower than a cut
  useHosts(box, [standby.host], standby.port);
  return await trial.end();
}

/** Daemons of many hosts share one server, and know of each other's logins. */
export async function shared(
  scale: Scale,
  daemons: number,
  report: (line: string) => void,
): Promise<Outcome> {
  await using server = await startPostgres();
  await using stack = new AsyncDisposableStack();
  const sites: Site[] = [];
  for (let number = 0; number < daemons; number++) {
    const box = stack.use(await install("pgsql", "", server));
    sites.push({ box, serve: stack.use(await startServe(box)) });
  }
  const name = `PostgreSQL: ${String(daemons)} daemons on one server`;
  const trial = stack.use(await Trial.start(name, sites, server, scale));
  let most = 0;
  const latest: number[] = [];
  const enough = scale.logins * 3;
  for (let round = 0; trial.made.length < enough; round++) {
    const [here, there] = [sites[round % daemons], sites[(round + 1) % daemons]];
    assert.ok(here !== undefined && there !== undefined);
    latest.push(await knownElsewhere(here, there, `guest${String(round)}`));
    const rows = await server.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'popbsmtp'");
    most = Math.max(most, rows.length);
  }
  const outcome = await trial.end();
  const [row] = await server.query(
    "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
  );
  assert.equal(row?.["deadlocks"], 0);
  // logins, lookups, the drain, the purge, and one beside them that asks after a slow statement or
  // ends it
  assert.ok(most <= 5 * daemons, `${String(most)} connections`);
  report(
    `${name}: at most ${String(most)} connections, no deadlock; ${String(latest.length)} logins known to another daemon after ${String(Math.max(...latest))} ms at most`,
  );
  return outcome;
}
