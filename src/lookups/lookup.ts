/** Whether an address may relay, as a mail server asks. */
import type { Address } from "../login/address.ts";

/** "away": the address is unknown here, and the store cannot be asked. */
export type Answer = "authorized" | "unknown" | "away";

/** The source of an answer: the daemon's memory, or the store just now. */
export type KnownFrom = "memory" | "store";

export interface Answered {
  readonly answer: Answer;
  readonly from: KnownFrom;
}

export interface Lookup {
  /**
   * Answers at once from memory, otherwise within the deadline, whatever the store does; never
   * rejects.
   */
  lookup(address: Address): Answered | Promise<Answered>;
}

/** What the daemon counts of lookups. */
export interface LookupHooks {
  /** Called for each lookup, with its duration in seconds. */
  readonly onAnswer: (address: Address, answered: Answered, seconds: number) => void;
  /** Called once for a connection that is closed because of a malformed request. */
  readonly onMalformed: (why: string) => void;
}

/** Looks an address up, reports the lookup, and returns the `reply` to the answer. */
export function measured(
  lookup: Lookup,
  address: Address,
  { onAnswer }: Pick<LookupHooks, "onAnswer">,
  reply: (answer: Answer) => string,
): string | Promise<string> {
  const start = performance.now();
  const report = (answered: Answered) => {
    onAnswer(address, answered, (performance.now() - start) / 1000);
    return reply(answered.answer);
  };
  const answered = lookup.lookup(address);
  return answered instanceof Promise ? answered.then(report) : report(answered);
}
