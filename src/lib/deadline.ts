/**
 * Settles as `work` does, or after `ms` milliseconds as `late` does. `work` continues.
 *
 * @param late Default: throws an error that names the time
 */
export async function withDeadline<Result, Late = never>(
  work: Promise<Result>,
  ms: number,
  late: () => Late = () => {
    throw new Error(noAnswerWithin(ms));
  },
): Promise<Result | Late> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.max(0, ms));
  try {
    return await Promise.race([work, promise.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}

/** The message of a deadline's error: "no answer within 0.3 s". */
export function noAnswerWithin(ms: number): string {
  return `no answer within ${String(ms / 1_000)} s`;
}
