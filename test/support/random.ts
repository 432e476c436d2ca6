/** Pseudo-random numbers, the same in every run. */

/** An integer from 0 to below `limit`. */
export type Random = (limit: number) => number;

/** A linear congruential generator (Numerical Recipes), which is fast and repeatable. */
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
