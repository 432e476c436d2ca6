/*
 * Clean-up that runs, last registered first, even if a test exceeded the runner's time limit,
 * called process.exit or was interrupted, so that `await using` had no turn.
 */
const cleanups = new Set<() => void>();

for (const [signal, number] of [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}

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
  cleanups.add(cleanup);
  return { [Symbol.dispose]: () => void cleanups.delete(cleanup) };
}
