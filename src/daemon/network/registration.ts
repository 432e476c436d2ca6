/** DRAC's registration at this host's rpcbind, without which clients do not find the daemon. */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../lib/errors.ts";
import { DRAC_PROGRAM, DRAC_VERSIONS } from "../../rpc/drac-protocol.ts";
import { register, unregister, type Mapping, type Transport } from "../../rpc/rpcbind.ts";
import type { Log } from "../log/log.ts";

/** How often to check the registration, in milliseconds: rpcbind may start later, or restart. */
const AGAIN_MS = 10_000;

const MAPPINGS: readonly Mapping[] = DRAC_VERSIONS.flatMap((version) =>
  (["udp", "tcp"] as const).map((transport) => ({ program: DRAC_PROGRAM, version, transport })),
);

export type Ports = Readonly<Record<Transport, number>>;

export class Registration {
  readonly #ports: Ports;
  readonly #log: Log;
  readonly #leave = new AbortController();
  readonly #ended: Promise<void>;

  /** Registers these ports in place of others, and keeps them registered. */
  constructor(ports: Ports, log: Log) {
    this.#ports = ports;
    this.#log = log;
    this.#ended = this.#keep();
  }

  /** Removes the remaining registrations. */
  async end(): Promise<void> {
    this.#leave.abort();
    await this.#ended;
    try {
      for (const mapping of MAPPINGS) {
        // another daemon may have taken over
        if (await this.#register(mapping)) await unregister(mapping);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  async #keep(): Promise<void> {
    const { signal } = this.#leave;
    let isToSay = true;
    let isReplacing = true;
    while (!signal.aborted) {
      try {
        for (const mapping of MAPPINGS) {
          if (await this.#register(mapping)) continue;
          // at the start, it is the registration of a killed daemon; later, that of another daemon
          // which has taken over
          if (isReplacing) await this.#replace(mapping);
        }
        if (isToSay) this.#log.info("registered", { protocol: "drac", ...this.#ports });
        isToSay = false;
        isReplacing = false;
      } catch (error) {
        this.#failed(error);
        isToSay = true;
      }
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** True also if this port is registered already. */
  #register(mapping: Mapping): Promise<boolean> {
    return register(mapping, this.#ports[mapping.transport]);
  }

  async #replace(mapping: Mapping): Promise<void> {
    await unregister(mapping);
    if (await this.#register(mapping)) return;
    const { program, version } = mapping;
    throw new Error(
      `another user's daemon is registered; stop it and run: rpcinfo -d ${program} ${version}`,
    );
  }

  #failed(error: unknown): void {
    const reason = reasonOf(error);
    this.#log.warning("rpcbind-failed", { reason });
  }
}
