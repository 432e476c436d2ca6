import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** Milliseconds. Default 30,000: other tests may use the processor. */
  readonly timeout?: number;
  /** Milliseconds between two attempts. Default 10. */
  readonly interval?: number;
}

/**
 * Calls `probe` until it returns true.
 *
 * An exception counts as "not yet"; the last one is the cause of the error thrown when the time is
 * up.
 */
export async function waitUntil(
  what: string,
  probe: () => boolean | Promise<boolean>,
  { timeout = 30_000, interval = 10 }: WaitOptions = {},
): Promise<void> {
  const end = performance.now() + timeout;
  let cause: unknown;
  for (;;) {
    try {
      if (await probe()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      throw new Error(`waited ${String(timeout)} ms in vain for ${what}`, { cause });
    }
    await delay(interval);
  }
}
