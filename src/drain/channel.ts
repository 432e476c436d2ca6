/** The parameters of a drain: its spool, its destination and its options. */
import type { Clock } from "../lib/clock.ts";
import type { Admission } from "../guards/admission.ts";
import type { Login } from "../login/login.ts";
import type { DrainKind } from "../spool/drain-notices.ts";
import type { Sink } from "../stores/store.ts";

/** The destination of a drain's logins: one store, or all of them. */
export interface Destination extends Pick<Sink, "name" | "authorize"> {
  /** Called before each retry in an outage. */
  renew(): Promise<void>;
}

/** A spool and the destination of its logins. */
export interface Channel {
  /** The directory. */
  readonly spool: string;
  readonly to: Destination;
  /** Decides which logins count; the others are dropped. */
  readonly admission: Admission;
  /** How long a login is worth writing during an outage. Milliseconds. */
  readonly lifetime: number;
  /** Called once this process has locked the spool, before it reads it. */
  readonly prepare?: () => void | Promise<void>;
}

export interface DrainOptions {
  /** Default: Date.now. */
  readonly now?: Clock;
  /** Takes a line about a file that had to be set aside. Default: discarded. */
  readonly report?: (line: string) => void;
  /** Called, once per process, if inotify is not available, with the remedy. Default: discarded. */
  readonly onPolling?: (reason: string) => void;
  /** Whether wrappers wait for this drain. Default true. */
  readonly isAwaited?: boolean;
  /**
   * Called when `signal` is aborted: returns whether another drain of this process follows at once,
   * which then writes the waiting logins. Default: none does, and they are written first.
   */
  readonly isFollowed?: () => boolean;
  /** How this process identifies itself to wrappers and other drains. Default "drain". */
  readonly kind?: DrainKind;
  /** Called with logins that have been committed. */
  readonly onCommitted?: (logins: readonly Login[]) => void;
  /** Called with each login that was set aside and will never be in the store. */
  readonly onRefused?: (login: Login) => void;
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly drained: number; readonly waiting: number }) => void;
}

export interface LingerOptions extends DrainOptions {
  /** How long to stay after the last login, in milliseconds. */
  readonly linger: number;
  /**
   * Called when the drain would leave after that time: returns whether there is a reason to stay.
   * Default: there is none.
   */
  readonly isNeeded?: () => Promise<boolean>;
  /**
   * Whether to stay during an outage even if no waiting login is worth writing any more. Default
   * false.
   */
  readonly stay?: boolean;
}
