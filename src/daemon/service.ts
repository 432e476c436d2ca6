/** How this process was started, and its problems. */
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import { becomeAccount, isRoot, type Account } from "../system/privileges.ts";
import type { OpenConfigured } from "./configured-stores.ts";
import type { DovecotMaster } from "./sockets/dovecot-master.ts";
import type { Listeners } from "./sockets/listeners.ts";
import type { HandedSocket } from "./sockets/roles.ts";
import type { OwnedLog } from "./log/log.ts";
import type { Orders } from "./orders.ts";
import type { Problems } from "./problems.ts";
import type { Systemd } from "./sockets/systemd.ts";

/** How often to retry what failed. Milliseconds. */
export const AGAIN_MS = 10_000;

/** At the end, how long a connected client may take to ask and to read the answer. Milliseconds. */
export const LAST_ANSWERS_MS = 1_000;

export interface ServeOptions {
  readonly version: string;
  /** Reads the configuration, at the start and later; throws if it is invalid. */
  readonly load: () => Promise<Config>;
  readonly open: OpenConfigured;
  readonly now: Clock;
}

/** How this process was started. */
export interface Service extends ServeOptions {
  readonly log: OwnedLog;
  readonly master: DovecotMaster | undefined;
  readonly systemd: Systemd | undefined;
  readonly orders: Orders;
  readonly handed: readonly HandedSocket[];
  /** Whether a login socket was passed to it: it may then exit only in order to be restarted. */
  readonly isHeld: boolean;
  readonly listeners: Listeners;
  readonly problems: Problems;
}

/** Drops root's privileges for good. If that fails, a daemon that may not exit stays root. */
export function become({ isHeld, log }: Service, account: Account): void {
  if (!isRoot() || account.uid === 0) return;
  try {
    becomeAccount(account);
  } catch (error) {
    if (!isHeld) throw error;
    log.error("problem", { reason: reasonOf(error) });
  }
}
