/*
 * Clean-up that runs, last registered first, even if a test exceeded the runner's time limit,
 * called process.exit or was interrupted, so that `await using` had no turn.
 */
const cleanups = new Set<() => void>();

const SIGNALS = [
  ["SIGHUP", () => process.exit(129)],
  ["SIGINT", () => process.exit(130)],
  ["SIGTERM", () => process.exit(143)],
] as const;

process.once("exit", () => {
  for (const cleanup of [...cleanups].toReversed()) {
    try {
      cleanup();
    } catch (error) {
      console.error(error);
    }
  }
});

/**
 * Runs `cleanup` (synchronous) when this process exits, unless the result is disposed of before.
 */
export function atExit(cleanup: () => void): Disposable {
  if (cleanups.size === 0) for (const [signal, exit] of SIGNALS) process.on(signal, exit);
  cleanups.add(cleanup);
  return {
    [Symbol.dispose]: () => {
      // a test that signals its own process has nothing to clean up
      if (cleanups.delete(cleanup) && cleanups.size === 0)
        for (const [signal, exit] of SIGNALS) process.off(signal, exit);
    },
  };
}
