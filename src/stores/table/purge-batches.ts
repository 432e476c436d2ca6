import { setTimeout as sleep } from "node:timers/promises";

/**
 * Deletes batch after batch until there is nothing more to delete, and says how many rows that
 * were.
 *
 * After each batch it lets go for as long as that took: who waits for a lock, a login above all,
 * does not look all the time whether it is free (SQLite's busy handler sleeps), and would not get
 * it from one who takes it again at once.
 *
 * @param deleteBatch deletes some rows, commits, and returns their number
 * @param onProgress called after each batch with the rows deleted so far
 */
export async function purgeInBatches(
  deleteBatch: () => Promise<number>,
  onProgress: (deleted: number) => void = () => undefined,
): Promise<number> {
  let deleted = 0;
  for (;;) {
    const start = performance.now();
    const last = await deleteBatch();
    if (last === 0) return deleted;
    deleted += last;
    onProgress(deleted);
    await sleep(performance.now() - start);
  }
}
