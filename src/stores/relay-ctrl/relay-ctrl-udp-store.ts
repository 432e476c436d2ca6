import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import type { Address } from "../../login/address.ts";
import { placeOf, type RelayCtrlRemoteStoreConfig } from "../../config/config.ts";
import { inTurns, OneWayDaemon } from "../one-way.ts";

/**
 * How many addresses are sent at a time. Each has a socket of its own, because an answer does not
 * name its address.
 */
const OPEN_SOCKETS = 32;

/**
 * relay-ctrl-udp on another host, addressed as relay-ctrl-send does: a datagram with the address,
 * repeated until one comes back. It does not support IPv6 addresses, which are skipped.
 */
export class RelayCtrlRemoteStore extends OneWayDaemon {
  readonly name: string;
  readonly #config: RelayCtrlRemoteStoreConfig;

  constructor(config: RelayCtrlRemoteStoreConfig, lifetime: number) {
    super(lifetime);
    this.name = placeOf(config);
    this.#config = config;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  protected async tell(addresses: readonly Address[]): Promise<void> {
    const those = addresses.filter((address) => !address.includes(":"));
    if (those.length === 0) return;
    try {
      const remote = await lookup(this.#config.host);
      await inTurns(those, OPEN_SOCKETS, (address) => this.#tellOne(address, remote));
    } catch (error) {
      throw this.away(error);
    }
  }

  /** The only possible question, whether it takes an address, would authorize it. */
  async probe(): Promise<void> {
    await lookup(this.#config.host).catch((error: unknown) => {
      throw this.away(error);
    });
  }

  async #tellOne(address: Address, remote: Awaited<ReturnType<typeof lookup>>): Promise<void> {
    const { port, tries, timeout } = this.#config;
    const socket = createSocket(remote.family === 6 ? "udp6" : "udp4");
    const { promise: answered, resolve, reject } = Promise.withResolvers<void>();
    let timer: NodeJS.Timeout | undefined;
    const send = (left: number) => {
      if (left === 0) {
        reject(new Error(`no answer to ${tries} datagrams, ${timeout / 1_000} s each`));
        return;
      }
      socket.send(address);
      timer = setTimeout(() => send(left - 1), timeout);
    };
    try {
      // so that only its answers arrive, and ECONNREFUSED is reported
      socket.connect(port, remote.address);
      await once(socket, "connect");
      socket.once("message", () => resolve()).on("error", (error) => reject(explained(error)));
      send(tries);
      await answered;
    } finally {
      clearTimeout(timer);
      socket.close();
    }
  }
}

function explained(error: Error): Error {
  const isRefused = "code" in error && error.code === "ECONNREFUSED";
  return isRefused ? new Error("nothing listens there", { cause: error }) : error;
}
