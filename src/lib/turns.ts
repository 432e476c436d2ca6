/** Long work in short steps, between which the process answers logins and lookups. */
import { setImmediate as nextTurn } from "node:timers/promises";

/** The number of spool files that are read, removed or set aside in one turn of the event loop. */
export const A_TURN = 50;

/** Iterates over `items`, and lets the event loop turn after every {@link A_TURN} of them. */
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
