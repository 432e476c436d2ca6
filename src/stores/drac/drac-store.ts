import { lookup } from "node:dns/promises";
import { reasonOf } from "../../lib/errors.ts";
import type { Address } from "../../login/address.ts";
import { placeOf, type DracStoreConfig } from "../../config/config.ts";
import { NoAnswerError, RpcClient, RpcError } from "../../rpc/client.ts";
import {
  ADD_PROCEDURE,
  DRAC_PROGRAM,
  DRAC_STATUS,
  DRAC_VERSIONS,
  dracVersion,
  encodeDracArgument,
  NULL_PROCEDURE,
} from "../../rpc/drac-protocol.ts";
import { TROUBLE, words } from "../../rpc/message.ts";
import { portOf } from "../../rpc/rpcbind.ts";
import { inTurns, OneWayDaemon } from "../one-way.ts";

/** How long rpcbind and dracd may each take to answer a call. Milliseconds. */
const ANSWER_MS = 3_000;

/** How many calls may be open: dracd answers them one by one, from a buffer that holds few more. */
const OPEN_CALLS = 64;

type Version = (typeof DRAC_VERSIONS)[number];

/**
 * rpc.dracd on another host, called over UDP: version 1 for IPv4, version 2 for IPv6. A dracd
 * without version 2 gets no IPv6 addresses.
 */
export class DracStore extends OneWayDaemon {
  readonly name: string;
  readonly #host: string;
  readonly #clients = new Map<Version, Promise<RpcClient | undefined>>();

  constructor(config: DracStoreConfig, lifetime: number) {
    super(lifetime);
    this.name = placeOf(config);
    this.#host = config.host;
  }

  async close(): Promise<void> {
    const clients = [...this.#clients.values()];
    this.#clients.clear();
    for (const opening of clients) {
      const client = await opening.catch(() => undefined);
      client?.[Symbol.dispose]();
    }
  }

  protected async tell(addresses: readonly Address[]): Promise<void> {
    for (const version of DRAC_VERSIONS) {
      const those = addresses.filter((address) => dracVersion(address) === version);
      if (those.length > 0) await this.#use(version, (client) => add(client, version, those));
    }
  }

  probe(): Promise<void> {
    const argument = words();
    return this.#use(1, async (client) => {
      await client.call(
        { program: DRAC_PROGRAM, version: 1, procedure: NULL_PROCEDURE, argument },
        ANSWER_MS,
      );
    });
  }

  async #use(version: Version, work: (client: RpcClient) => Promise<void>): Promise<void> {
    const isKnown = this.#clients.has(version);
    try {
      const client = await this.#client(version);
      if (client !== undefined) await work(client);
      else if (version === 1 || (await this.#client(1)) === undefined) {
        throw new RpcError("rpcbind lists no dracd there; is it running?");
      }
    } catch (error) {
      await this.close();
      if (!(error instanceof RpcError)) throw this.away(error);
      if (error.code === TROUBLE.noVersion && version === 2) return;
      // dracd may have been restarted, on another port
      if (!isKnown || error instanceof NoAnswerError) throw this.away(error);
      await this.#use(version, work);
    }
  }

  /** undefined if there is no such dracd. */
  #client(version: Version): Promise<RpcClient | undefined> {
    const known = this.#clients.get(version) ?? this.#open(version);
    this.#clients.set(version, known);
    return known;
  }

  async #open(version: Version): Promise<RpcClient | undefined> {
    // rpcbind's version 2 and dracd's access check exist for IPv4 only
    const { address } = await lookup(this.#host, { family: 4 });
    const mapping = { program: DRAC_PROGRAM, version, transport: "udp" } as const;
    const port = await portOf(address, mapping, ANSWER_MS).catch((cause: unknown) => {
      throw new RpcError(`rpcbind: ${reasonOf(cause)}`, {
        cause,
      });
    });
    return port === undefined ? undefined : RpcClient.open({ address, port });
  }
}

async function add(
  client: RpcClient,
  version: Version,
  addresses: readonly Address[],
): Promise<void> {
  await inTurns(addresses, OPEN_CALLS, async (address) => {
    const argument = encodeDracArgument(address);
    const result = await client.call(
      { program: DRAC_PROGRAM, version, procedure: ADD_PROCEDURE, argument },
      ANSWER_MS,
    );
    const status = result.length === 4 ? result.readUInt32BE() : NaN;
    if (status !== DRAC_STATUS.success) throw new RpcError(complaint(status));
  });
}

function complaint(status: number): string {
  switch (status) {
    case DRAC_STATUS.permissionDenied:
      return "permission denied: its dracd.allow has to list this host";
    case DRAC_STATUS.systemError:
      return "dracd reports a system error: its own log says which";
    default:
      return "dracd reports an unknown error: its own log may say which";
  }
}
