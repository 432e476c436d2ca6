/** What a mail server wants to know: may this address relay? */
import type { Address } from "../login/address.ts";

/** "away": nothing is known of the address here, and the store cannot be asked. */
export type Answer = "authorized" | "unknown" | "away";

/** Where an answer came from: the store has just said so, or what this daemon has recorded or asked lately. */
export type KnownFrom = "memory" | "store";

export interface Answered {
  readonly answer: Answer;
  readonly from: KnownFrom;
}

export interface Lookup {
  /** Answers at once what is known, and within the deadline it was made with whatever the store does; never rejects. */
  lookup(address: Address): Answered | Promise<Answered>;
}

/** What the daemon counts of lookups. */
export interface LookupHooks {
  /** Told of each lookup, and the seconds it took. */
  readonly onAnswer: (address: Address, answered: Answered, seconds: number) => void;
  /** Told once of a connection that is closed because what it asks is no request. */
  readonly onMalformed: (why: string) => void;
}

/** Looks an address up, reports it, and returns what `reply` makes of it. */
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
