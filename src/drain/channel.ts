/** What a drain carries, to where, and how. */
import type { Clock } from "../lib/clock.ts";
import type { Network } from "../login/address.ts";
import type { Login } from "../login/login.ts";
import type { DrainKind } from "../spool/spool.ts";
import type { Sink } from "../stores/store.ts";

/** Where a drain's logins go: one store, or all of them. */
export interface Destination extends Pick<Sink, "name" | "authorize"> {
  /** Called before each new try in an outage. */
  renew(): Promise<void>;
}

/** What is drained, and to where. */
export interface Channel {
  /** The directory. */
  readonly spool: string;
  readonly to: Destination;
  /** Logins from here are dropped. */
  readonly exclude: readonly Network[];
  /** In an outage a login is of use for so long. Milliseconds. */
  readonly lifetime: number;
  /** Called once the spool is this process's, before it is looked into. */
  readonly prepare?: () => void | Promise<void>;
}

export interface DrainOptions {
  /** Default: Date.now. */
  readonly now?: Clock;
  /** Takes a line about a file that had to be set aside. Default: nobody hears it. */
  readonly report?: (line: string) => void;
  /** Told, once in this process, that the kernel announces no logins, and what to do about it. Default: nobody hears it. */
  readonly onPolling?: (reason: string) => void;
  /** Whether wrappers wait for what it drains. Default true. */
  readonly isAwaited?: boolean;
  /**
   * Asked when `signal` has come: will another drain of this process follow at once? Then what waits is left to that one. Default: none
   * will, and what waits is written first.
   */
  readonly isFollowed?: () => boolean;
  /** What wrappers and other drains are told this process is. Default "drain". */
  readonly kind?: DrainKind;
  /** Told of logins that have been committed. */
  readonly onCommitted?: (logins: readonly Login[]) => void;
  /** Told of each login that was set aside: it will never be in the store. */
  readonly onRefused?: (login: Login) => void;
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly drained: number; readonly waiting: number }) => void;
}

export interface LingerOptions extends DrainOptions {
  /** How long to stay after the last login, in milliseconds. */
  readonly linger: number;
  /** Asked when it would leave, the last login being so long ago: is there a reason to stay? Default: there is none. */
  readonly isNeeded?: () => Promise<boolean>;
  /** Stay in an outage even where no login that waits is of use any more. Default false. */
  readonly stay?: boolean;
}
