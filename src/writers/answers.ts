/** Combines the answers of several stores. */
import { PopbsmtpError, StoreAwayError, UnsupportedError, errorOf } from "../lib/errors.ts";
import type { Authorization } from "../stores/store.ts";

/** The answers, and the errors of the stores that gave none, in the order of the questions. */
export interface Answers<T> {
  readonly answers: readonly T[];
  readonly errors: readonly Error[];
}

/** Waits for all of them. */
export async function answersOf<T>(questions: readonly Promise<T>[]): Promise<Answers<T>> {
  const answers: T[] = [];
  const errors: Error[] = [];
  for (const settled of await Promise.allSettled(questions)) {
    if (settled.status === "fulfilled") answers.push(settled.value);
    else {
      const { reason }: { readonly reason: unknown } = settled;
      errors.push(errorOf(reason));
    }
  }
  return { answers, errors };
}

/** All messages on one line, each once. */
export function joined(errors: readonly Error[]): string {
  return [...new Set(errors.map(({ message }) => message))].join("; ");
}

/**
 * One error for several (at least one): an outage if any of them is.
 *
 * @param rest text to append. Default: none
 */
export function together(errors: readonly Error[], rest = ""): Error {
  const ours = errors.filter((error) => error instanceof PopbsmtpError);
  const [first] = ours;
  // a bug, or an abort by the caller, is not an outcome
  const foreign = errors.find((error) => !(error instanceof PopbsmtpError));
  if (foreign !== undefined || first === undefined) return foreign ?? new Error("no error");
  if (ours.length === 1 && rest === "") return first;
  const message = joined(errors) + rest;
  const options = { cause: new AggregateError(errors) };
  if (ours.some((error) => error instanceof StoreAwayError)) {
    return new StoreAwayError(message, options);
  }
  return ours.every((error) => error instanceof UnsupportedError)
    ? new UnsupportedError(message, options)
    : new PopbsmtpError(message, first.exitStatus, options);
}

/**
 * One authorization for each address and user, the latest first: the one with the latest login,
 * from the first store that has it, completed with the fields of the others.
 */
export function merged(lists: readonly (readonly Authorization[])[]): readonly Authorization[] {
  const [first = [], ...others] = lists;
  if (others.length === 0) return first;
  const rows = new Map<string, Authorization>();
  for (const row of lists.flat()) {
    const key = JSON.stringify([row.address, row.user]);
    const other = rows.get(key);
    rows.set(key, other === undefined ? row : both(other, row));
  }
  return [...rows.values()].toSorted((a, b) => b.lastSeen.getTime() - a.lastSeen.getTime());
}

function both(first: Authorization, second: Authorization): Authorization {
  const [later, earlier] = second.lastSeen > first.lastSeen ? [second, first] : [first, second];
  return {
    ...later,
    service: later.service ?? earlier.service,
    firstSeen: later.firstSeen ?? earlier.firstSeen,
    logins: later.logins ?? earlier.logins,
  };
}
