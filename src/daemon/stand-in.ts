/**
 * What answers while the daemon cannot begin because its configuration is wrong.
 *
 * Where Dovecot or systemd holds the listening sockets, connections wait in them for a daemon that ends at every start, and after a
 * minute Dovecot refuses the login. So somebody has to let them in. Nothing is recorded: there is no knowing where.
 */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { servePostLogin } from "../sources/dovecot/post-login.ts";
import { Listeners, type HandedSocket, type Role } from "./listeners.ts";
import type { Log } from "./log.ts";
import { isNetworkSource } from "./network-sources.ts";

/** How often to look whether the configuration has been mended. Milliseconds. */
const AGAIN_MS = 1_000;

export interface StandInOptions {
  /** What is wrong. */
  readonly error: unknown;
  readonly handed: readonly HandedSocket[];
  /** Rejected while it is wrong. */
  readonly attempt: () => Promise<unknown>;
  /** Aborted when this process is to end. */
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly log: Log;
}

/** Lets everybody in until the configuration works: then whoever started this process starts the daemon proper. */
export async function standIn(options: StandInOptions): Promise<void> {
  const { error, handed, attempt, signal, now, log } = options;
  log.error("not-recording", { reason: reasonOf(error) });
  const nowhere = {
    imap: undefined,
    pop3: undefined,
    policy: [],
    socketmap: [],
    metrics: undefined,
    drac: undefined,
    dracAllow: [],
    relayCtrlUdp: undefined,
    relayCtrlAllow: [],
  };
  const listeners = await Listeners.open(
    { ...nowhere, deadline: 0, purgeInterval: 0, logLevel: "info" },
    // what tells of logins in datagrams tries again
    {
      handed: handed.filter((socket) => !isNetworkSource(socket)),
      owner: undefined,
      patience: 0,
      log,
    },
  );
  listeners.start((socket: Socket, role: Role) => {
    // a policy service that hangs up is no opinion (default_action)
    if (role !== "imap" && role !== "pop3") socket.destroy();
    else {
      servePostLogin(socket, {
        service: role,
        record: ({ address, user, service }) => {
          log.info("login", { address, user, service, outcome: "lost" });
          return Promise.resolve();
        },
        now,
        onMalformed: (reason) =>
          log.warning("malformed-request", { protocol: "post-login", reason }),
      });
    }
  });
  while (!signal.aborted) {
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    try {
      await attempt();
      break;
    } catch (problem) {
      log.error("not-recording", { reason: reasonOf(problem) });
    }
  }
  await listeners.close();
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
