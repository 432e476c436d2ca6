import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import type { Store } from "../stores/store.ts";
import { drainLingering, type DrainOptions } from "./drain.ts";

/** How long to wait before a drain is started again that has ended by itself. Milliseconds. */
const AGAIN_MS = 1_000;

export interface DrainUntilOptions extends Omit<DrainOptions, "linger" | "stay"> {
  /** Opens the store, and opens it again after an outage. */
  readonly open: () => Promise<Store>;
  /** Called before each drain. Default: nothing is. */
  readonly prepare?: () => void;
  /** Told why a drain has ended. Default: nobody is. */
  readonly onFailure?: (error: unknown) => void;
}

/** Drains a spool until `signal`, whatever happens: an error ends one drain, and the next follows. Never rejects. */
export async function drainUntil(
  config: Config,
  signal: AbortSignal,
  { open, prepare, onFailure, ...options }: DrainUntilOptions,
): Promise<void> {
  while (!signal.aborted) {
    try {
      prepare?.();
      let store = await open();
      const reopen = async () => {
        await store.close();
        store = await open();
        return store;
      };
      try {
        await drainLingering(config, store, reopen, signal, {
          ...options,
          linger: Infinity,
          stay: true,
        });
      } finally {
        await store.close();
      }
    } catch (error) {
      onFailure?.(error);
    }
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}
