/** Long work in short steps, so that logins and lookups in the same process are answered in between. */
import { setImmediate as nextTurn } from "node:timers/promises";

/** Files in the spool that are read, removed or set aside before anything else in this process has its turn. */
export const A_TURN = 50;

/** Iterates over `items`, and after every {@link A_TURN} of them lets the event loop turn once. */
export async function* inTurns<T>(items: Iterable<T>): AsyncGenerator<T, void, void> {
  let done = 0;
  for (const item of items) {
    if (done === A_TURN) {
      await nextTurn();
      done = 0;
    }
    yield item;
    done += 1;
  }
}
