/** What a mail server wants to know: may this address relay? */
import type { Address } from "../address.ts";

/** "away": nothing is known of the address here, and the store cannot be asked. */
export type Answer = "authorized" | "unknown" | "away";

/** Where an answer came from: what this daemon has recorded or asked lately, or the store. */
export type KnownFrom = "memory" | "store";

export interface Lookup {
  /** Answers within the deadline it was made with, whatever the store does; never rejects. */
  lookup(address: Address): Promise<Answer>;
}
