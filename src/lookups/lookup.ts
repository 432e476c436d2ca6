/** What a mail server wants to know: may this address relay? */
import type { Address } from "../address.ts";

/** "away": nothing is known of the address here, and the store cannot be asked. */
export type Answer = "authorized" | "unknown" | "away";

/** Where an answer came from: the store has just said so, or what this daemon has recorded or asked lately. */
export type KnownFrom = "memory" | "store";

export interface Answered {
  readonly answer: Answer;
  readonly from: KnownFrom;
}

export interface Lookup {
  /** Answers within the deadline it was made with, whatever the store does; never rejects. */
  lookup(address: Address): Promise<Answered>;
}

/** What the daemon counts of lookups. */
export interface LookupHooks {
  /** Told of each lookup, and the seconds it took. */
  readonly onAnswer: (answer: Answer, from: KnownFrom, seconds: number) => void;
  /** Told once of a connection that is closed because what it asks is no request. */
  readonly onMalformed: (why: string) => void;
}

/** Looks an address up and reports it. */
export async function measured(
  lookup: Lookup,
  address: Address,
  { onAnswer }: Pick<LookupHooks, "onAnswer">,
): Promise<Answer> {
  const start = performance.now();
  const { answer, from } = await lookup.lookup(address);
  onAnswer(answer, from, (performance.now() - start) / 1000);
  return answer;
}
