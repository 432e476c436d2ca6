import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import type { Selection } from "../sources/mail-log/selector.ts";
import { watchLog } from "../sources/mail-log/watch-log.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";

/**
 * Pauses before an unreadable log is retried: doubling from the first to the last. Milliseconds.
 */
const AGAIN_MS = { first: 1_000, last: 60_000 };

export interface WatcherOptions {
  readonly now: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "lines">;
  /** Whether a login has been recorded already. */
  readonly isKnown: NonNullable<Selection["isKnown"]>;
  /** Called with the other logins once they are in the spool or excluded. */
  readonly onLogin: NonNullable<Selection["onLogin"]>;
}

export interface Watcher {
  /** Resolves when no further login can arrive. */
  stop(): Promise<void>;
}

/** Watches the configured mail logs until stopped. Errors are logged, and the log is retried. */
export function startWatcher(config: Config, options: WatcherOptions): Watcher {
  const leave = new AbortController();
  const paths = config.watch.inDaemon ? config.watch.files : [];
  const ended = Promise.all(paths.map((path) => watchUntil(leave.signal, path, config, options)));
  return {
    stop: async () => {
      leave.abort();
      await ended;
    },
  };
}

async function watchUntil(
  signal: AbortSignal,
  path: string,
  config: Config,
  { now, log, metrics, isKnown, onLogin }: WatcherOptions,
): Promise<void> {
  const { spool, lifetime, watch } = config;
  let wait = AGAIN_MS.first;
  while (!signal.aborted) {
    try {
      await watchLog({
        path,
        spool,
        signal,
        formats: watch.formats,
        lifetime,
        admission: config,
        now,
        quietAfter: watch.quietAfter,
        onRefused: (why, sample) =>
          log.warning("watch-refused", { file: path, reason: why, sample }),
        onQuiet: ({ lines, sample }) => log.warning("watch-quiet", { file: path, lines, sample }),
        onPolling: (reason) => log.warning("polling", { reason }),
        onGap: ({ offset }) => log.warning("watch-gap", { file: path, read: offset }),
        isKnown,
        onLogin,
        onLines: (counts) => {
          metrics.lines(counts);
          wait = AGAIN_MS.first;
        },
      });
    } catch (error) {
      const reason = reasonOf(error);
      log.error("watch-failed", { file: path, reason });
      await sleep(wait, undefined, { signal }).catch(() => undefined);
      wait = Math.min(wait * 2, AGAIN_MS.last);
    }
  }
}
