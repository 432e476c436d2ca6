/*
 * What must not outlive the test process, even where a test ran into the runner's time limit, called process.exit or
 * was interrupted, and `await using` had no turn: then these run, last registered first.
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

/** Has `cleanup` (synchronous) run when this process ends, unless what is returned is disposed of before. */
export function atExit(cleanup: () => void): Disposable {
  cleanups.add(cleanup);
  return { [Symbol.dispose]: () => void cleanups.delete(cleanup) };
}
