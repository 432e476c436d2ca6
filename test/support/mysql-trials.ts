/** What befalls MariaDB's hosts while people log in: each trial for as long as its scale says. */
import assert from "node:assert/strict";
import { LIFETIME, serverConfig } from "../contract/subject.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import type { DatabaseServer } from "./database-server.ts";
import type { Galera } from "./galera.ts";
import { install, type Installation } from "./installation.ts";
import { startMariadb } from "./mariadb.ts";
import { startServe, type Serve } from "./serve.ts";
import { Trial, useHosts, type Outcome, type Scale, type Site } from "./trial.ts";
import { waitUntil } from "./wait-until.ts";

/**
 * A replica that is read-only is first in the list; the primary is killed, and the replica
 * promoted.
 */
export async function replicaPromoted(scale: Scale): Promise<Outcome> {
  await using primary = await startMariadb({ options: ["--server-id=1", "--log-bin"] });
  await primary.query("CREATE USER copy@'%'; GRANT REPLICATION SLAVE ON *.* TO copy@'%'");
  await using box = await install("mysql", "", primary);
  await using replica = await startMariadb({
    host: "127.0.0.2",
    port: primary.port,
    options: ["--server-id=2", "--log-bin", "--read-only"],
    replicaOf: primary,
  });
  useHosts(box, [replica.host, primary.host]);
  await using serve = await startServe(box);
  const name = "MariaDB: primary made read-only, replica promoted";
  await using trial = await Trial.start(name, [{ box, serve }], primary, scale);
  await trial.logins();
  trial.happens();
  await primary.query("SET GLOBAL read_only = 1");
  await hasCaughtUp(replica, primary);
  await replica.query("STOP SLAVE; SET GLOBAL read_only = 0");
  await trial.resumes(replica);
  await trial.logins();
  // what the primary that comes back does is of no interest any more
  await primary.kill9();
  await primary.start();
  await trial.logins();
  return await trial.end();
}

async function hasCaughtUp(replica: DatabaseServer, primary: DatabaseServer): Promise<void> {
  const [position] = await primary.query("SELECT @@gtid_binlog_pos AS at");
  await waitUntil("the replica to catch up", async () => {
    const [reached] = await replica.query("SELECT @@gtid_slave_pos AS at");
    return reached?.["at"] === position?.["at"];
  });
}

/** A cluster, and a daemon or several that use it. */
export interface GaleraSite extends AsyncDisposable {
  readonly nodes: readonly [DatabaseServer, DatabaseServer, DatabaseServer];
  readonly box: Installation;
  readonly serve: Serve;
}

/** The nodes are somebody else's to dispose of. */
export async function startGaleraSite({ nodes }: Galera): Promise<GaleraSite> {
  const [first, second, third] = nodes;
  if (first === undefined || second === undefined || third === undefined) {
    throw new Error("too few nodes");
  }
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await install("mysql", "", first));
  useHosts(
    box,
    nodes.map(({ host }) => host),
  );
  const serve = stack.use(await startServe(box));
  const resources = stack.move();
  return {
    nodes: [first, second, third],
    box,
    serve,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Resolves when every node says that it is one of three that are ready. */
export async function isWhole(nodes: readonly DatabaseServer[]): Promise<void> {
  await waitUntil(
    "all nodes to be ready",
    async () => {
      const states = await Promise.all(nodes.map((node) => stateOf(node)));
      return states.every((state) => state === `${String(nodes.length)},ON`);
    },
    { timeout: 120_000, interval: 100 },
  );
}

async function stateOf(node: DatabaseServer): Promise<string> {
  const rows = await node.query(
    "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_ready')",
  );
  return rows.map((row) => String(row["Value"])).join(",");
}

/** The node that the daemon uses: the only one that has connections of it. */
async function inUse({ nodes }: GaleraSite): Promise<DatabaseServer> {
  let found: DatabaseServer | undefined;
  await waitUntil("the daemon to use one node", async () => {
    const counts = await Promise.all(nodes.map(connections));
    found = nodes.find((_node, at) => (counts[at] ?? 0) > 0);
    return counts.filter((count) => count > 0).length === 1;
  });
  if (found === undefined) throw new Error("the daemon uses no node");
  return found;
}

async function connections(node: DatabaseServer): Promise<number> {
  const rows = await node.query(
    "SELECT id FROM information_schema.processlist WHERE user = 'popbsmtp'",
  );
  return rows.length;
}

/** A trial at a cluster that is whole, and is so again at its end. */
async function atGalera(
  name: string,
  site: GaleraSite,
  scale: Scale,
  body: (trial: Trial, node: DatabaseServer, others: readonly DatabaseServer[]) => Promise<void>,
): Promise<Outcome> {
  const { nodes } = site;
  await isWhole(nodes);
  await nodes[1].query("DELETE FROM popbsmtp");
  await using trial = await Trial.start(`Galera: ${name}`, [site], nodes[1], scale, nodes);
  await trial.logins();
  const node = await inUse(site);
  const others = nodes.filter((other) => other !== node);
  await body(trial, node, others);
  await trial.logins();
  await isWhole(nodes);
  return await trial.end();
}

/** Breaks something at the node in use, waits for commits at another one, and mends it. */
async function moves(
  trial: Trial,
  other: DatabaseServer | undefined,
  breaks: () => Promise<unknown>,
  mends: () => Promise<unknown>,
): Promise<void> {
  if (other === undefined) throw new Error("there is no other node");
  trial.happens();
  await breaks();
  try {
    await trial.resumes(other);
    await trial.logins();
  } finally {
    await mends();
  }
}

/** The node in use is killed. */
export function nodeKilled(scale: Scale, site: GaleraSite): Promise<Outcome> {
  return atGalera("node killed", site, scale, (trial, node, [other]) =>
    moves(
      trial,
      other,
      () => node.kill9(),
      () => node.start(),
    ),
  );
}

/** The node in use is cut off from the others. */
export function nodeIsolated(scale: Scale, site: GaleraSite): Promise<Outcome> {
  const isolate = (node: DatabaseServer, value: number) =>
    node.query(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${String(value)}'`);
  return atGalera("node isolated", site, scale, (trial, node, [other]) =>
    moves(
      trial,
      other,
      () => isolate(node, 1),
      () => isolate(node, 0),
    ),
  );
}

/** The node in use is stopped with SIGSTOP. */
export function nodeStopped(scale: Scale, site: GaleraSite): Promise<Outcome> {
  return atGalera("node stopped", site, scale, (trial, node, [other]) =>
    moves(
      trial,
      other,
      async () => {
        node.pause();
        await Promise.resolve();
      },
      async () => {
        node.resume();
        await Promise.resolve();
      },
    ),
  );
}

/** Both other nodes are cut off at once, so that no node takes writes; then they are back. */
export function quorumLost(scale: Scale, site: GaleraSite): Promise<Outcome> {
  return atGalera("quorum lost and back", site, scale, async (trial, node, others) => {
    trial.happens();
    for (const other of others) other.pause();
    try {
      await waitUntil("the quorum to be lost", async () => (await stateOf(node)).endsWith(",OFF"), {
        timeout: 60_000,
      });
      await trial.logins();
    } finally {
      for (const other of others) other.resume();
    }
    await isWhole(site.nodes);
    await trial.resumes(node);
  });
}

/** Expired rows are purged on all nodes at once. */
export function purged(scale: Scale, site: GaleraSite, rows: number): Promise<Outcome> {
  const name = `${rows.toLocaleString("en")} rows purged on three nodes`;
  return atGalera(name, site, scale, async (_trial, node) => {
    await node.query(
      `INSERT INTO popbsmtp SELECT concat('old', seq), '', 'imap', '2020-01-01', '2020-01-01', 1 FROM seq_1_to_${String(rows)}`,
    );
    const counts = await Promise.all(
      site.nodes.map(async (each) => {
        const store = openStore(serverConfig("mysql", each), { lifetime: LIFETIME });
        try {
          return await store.purge();
        } finally {
          await store.close();
        }
      }),
    );
    const sum = counts.reduce((one, other) => one + other);
    assert.ok(sum >= rows, `${String(sum)} rows purged`);
  });
}

/** Three daemons, each of which has another node first in its list; one of the nodes is killed. */
export async function threeDaemons(scale: Scale, { nodes }: Galera): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  await isWhole(nodes);
  const sites: Site[] = [];
  for (const [at, node] of nodes.entries()) {
    const box = stack.use(await install("mysql", "", node));
    const hosts = [...nodes.slice(at), ...nodes.slice(0, at)].map(({ host }) => host);
    useHosts(box, hosts);
    sites.push({ box, serve: stack.use(await startServe(box)) });
  }
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error("too few nodes");
  await second.query("DELETE FROM popbsmtp");
  const name = "Galera: three daemons on three nodes, one node killed";
  const trial = stack.use(await Trial.start(name, sites, second, scale, nodes));
  await trial.logins();
  trial.happens();
  await first.kill9();
  await trial.resumes(second);
  await trial.logins();
  await first.start();
  await isWhole(nodes);
  await trial.logins();
  return await trial.end();
}
