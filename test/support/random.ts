/** Chance that is the same in every run. */

/** A whole number from 0 to below `limit`. */
export type Random = (limit: number) => number;

/** A linear congruential generator (Numerical Recipes): quick, and no two runs differ. */
export function generator(seed: number): Random {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** One of several. */
export function pick<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[random(values.length)] ?? values[0];
}
