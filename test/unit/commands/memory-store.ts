import type { Login } from "../../../src/login/login.ts";
import type { Authorization, PurgeOptions, Revocation, Store } from "../../../src/stores/store.ts";

export interface MemoryStore extends Store {
  readonly recorded: readonly Login[];
  readonly revocations: readonly Revocation[];
  readonly purges: readonly PurgeOptions[];
}

/**
 * A store that holds these live authorizations, whose clock is so many milliseconds ahead, and that
 * remembers what it was asked.
 */
export function memoryStore(rows: readonly Authorization[] = [], ahead = 0): MemoryStore {
  const recorded: Login[] = [];
  const revocations: Revocation[] = [];
  const purges: PurgeOptions[] = [];
  return {
    name: "memory",
    recorded,
    revocations,
    purges,
    authorize: async (batch) => void recorded.push(...batch),
    lookup: async (address) => rows.find((row) => row.address === address),
    list: async () => rows,
    count: async () => ({ live: rows.length, all: rows.length, oldest: rows.at(-1)?.lastSeen }),
    revoke: async (which) => {
      revocations.push(which);
      return rows.length;
    },
    purge: async (options = {}) => {
      purges.push(options);
      options.onProgress?.(1000);
      return rows.length;
    },
    install: async () => ({ from: 0, to: 2 }),
    schemaVersion: async () => 2,
    skew: async () => ahead,
    close: async () => {},
  };
}
