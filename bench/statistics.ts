/** A summary of measurements. */
export interface Statistics {
  readonly count: number;
  readonly median: number;
  /** The 95th percentile. */
  readonly p95: number;
  readonly longest: number;
}

export function statistics(measurements: readonly number[]): Statistics {
  const sorted = measurements.toSorted((a, b) => a - b);
  // nearest rank
  const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  return { count: sorted.length, median: rank(0.5), p95: rank(0.95), longest: rank(1) };
}
