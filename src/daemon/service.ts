/** This process, as it was started, and what is wrong with it. */
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import { becomeAccount, isRoot, type Account } from "../system/privileges.ts";
import type { OpenConfigured } from "./daemon.ts";
import type { DovecotMaster } from "./sockets/dovecot-master.ts";
import type { Listeners } from "./sockets/listeners.ts";
import type { HandedSocket } from "./sockets/roles.ts";
import type { OwnedLog } from "./log/log.ts";
import type { Orders } from "./orders.ts";
import type { Problems } from "./problems.ts";
import type { Systemd } from "./sockets/systemd.ts";

/** How often to try again what did not work. Milliseconds. */
export const AGAIN_MS = 10_000;

/** How long whoever has connected may take, in the end, to ask and to fetch the answer. Milliseconds. */
export const LAST_ANSWERS_MS = 1_000;

export interface ServeOptions {
  readonly version: string;
  /** Reads the configuration, at first and again; throws where it is wrong. */
  readonly load: () => Promise<Config>;
  readonly open: OpenConfigured;
  readonly now: Clock;
}

/** This process, as it was started. */
export interface Service extends ServeOptions {
  readonly log: OwnedLog;
  readonly master: DovecotMaster | undefined;
  readonly systemd: Systemd | undefined;
  readonly orders: Orders;
  readonly handed: readonly HandedSocket[];
  /** Whether a login socket was handed over: it may not end by itself, but to be started again. */
  readonly isHeld: boolean;
  readonly listeners: Listeners;
  readonly problems: Problems;
}

/** Root becomes somebody else for good. Where it cannot, a daemon that may not end stays what it is. */
export function become({ isHeld, log }: Service, account: Account): void {
  if (!isRoot() || account.uid === 0) return;
  try {
    becomeAccount(account);
  } catch (error) {
    if (!isHeld) throw error;
    log.error("problem", { reason: reasonOf(error) });
  }
}
