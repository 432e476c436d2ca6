import type { DatabaseServer } from "./database-server.ts";
import { freePort } from "./free-port.ts";
import { startMariadb } from "./mariadb.ts";

const PROVIDER = "/usr/lib/galera/libgalera_smm.so";

/** The nodes of a Galera cluster: MariaDB servers at 127.0.0.1, 127.0.0.2, ..., all at one port. */
export interface Galera extends AsyncDisposable {
  readonly nodes: readonly DatabaseServer[];
}

/** A separate cluster, which notices within some seconds that a node is gone. */
export async function startGalera(size = 3): Promise<Galera> {
  await using stack = new AsyncDisposableStack();
  const [port, replication, state, increment] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const hosts = Array.from({ length: size }, (_, number) => `127.0.0.${String(number + 1)}`);
  const nodes: DatabaseServer[] = [];
  for (const host of hosts) {
    const provider = {
      "gmcast.listen_addr": `tcp://${host}:${String(replication)}`,
      "ist.recv_addr": `${host}:${String(increment)}`,
      "evs.suspect_timeout": "PT2S",
      "evs.inactive_timeout": "PT8S",
      "evs.keepalive_period": "PT0.5S",
      "gcache.size": "8M",
    };
    const settings = {
      "wsrep-on": "ON",
      "wsrep-provider": PROVIDER,
      "wsrep-provider-options": Object.entries(provider)
        .map(([key, value]) => `${key}=${value}`)
        .join(";"),
      "wsrep-cluster-address": `gcomm://${hosts.map((each) => `${each}:${String(replication)}`).join(",")}`,
      "wsrep-node-address": host,
      "wsrep-sst-method": "rsync",
      "wsrep-sst-receive-address": `${host}:${String(state)}`,
      "binlog-format": "ROW",
      "innodb-autoinc-lock-mode": "2",
    };
    const isFirst = nodes.length === 0;
    nodes.push(
      stack.use(
        await startMariadb({
          host,
          port,
          options: Object.entries(settings).map(([key, value]) => `--${key}=${value}`),
          firstOptions: isFirst ? ["--wsrep-new-cluster"] : [],
        }),
      ),
    );
  }
  const resources = stack.move();
  return { nodes, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
