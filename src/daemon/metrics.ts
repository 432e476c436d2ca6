/** What the daemon counts and measures. */
import type { Answer, KnownFrom } from "../lookups/lookup.ts";
import type { Outcome } from "./recorder.ts";

export interface Metrics {
  /** A login came in through the post-login service and was answered after so many seconds. */
  login(service: string, outcome: Outcome, seconds: number): void;
  /** A statement committed (or not) so many logins in so many seconds. */
  batch(source: "live" | "spool", size: number, seconds: number, ok: boolean): void;
  /** Whether the store answered last. */
  storeUp(up: boolean): void;
  /** A lookup was answered. */
  lookup(protocol: "policy" | "socketmap", answer: Answer, from: KnownFrom, seconds: number): void;
  /** A request that was none. */
  malformed(protocol: "post-login" | "policy" | "socketmap"): void;
  /** A purge deleted so many rows. */
  purged(rows: number): void;
}
