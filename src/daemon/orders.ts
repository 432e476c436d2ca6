import { setTimeout as sleep } from "node:timers/promises";

/** What to do next: exit, reread the configuration, or retry what failed. */
export type Order = "end" | "reload" | "retry";

/**
 * Collects signals from the start of the process on: SIGTERM, SIGINT and SIGHUP, and the exit of
 * Dovecot's master.
 */
export class Orders implements Disposable {
  readonly #end = new AbortController();
  readonly #hangUp = () => {
    this.#hangUps += 1;
    this.#wake.abort();
  };
  readonly #terminate = () => this.#end.abort();
  #hangUps = 0;
  #wake = new AbortController();

  /** @param ended resolves when the parent wants this process to exit. Default: never */
  constructor(ended?: Promise<void>) {
    process.on("SIGHUP", this.#hangUp);
    // once: a second signal kills the process
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, this.#terminate);
    void ended?.then(this.#terminate);
  }

  /** Aborted when this process is to exit. */
  get end(): AbortSignal {
    return this.#end.signal;
  }

  /**
   * The next order, or `retry` after this many milliseconds without one. An earlier SIGHUP counts.
   */
  async next(ms: number): Promise<Order> {
    const signal = AbortSignal.any([this.#end.signal, this.#wake.signal]);
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    if (this.#end.signal.aborted) return "end";
    if (this.#hangUps === 0) return "retry";
    this.#hangUps = 0;
    this.#wake = new AbortController();
    return "reload";
  }

  /** The result of `work`; undefined if this process is told to exit first. */
  async unlessEnded<T>(work: Promise<T>): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.end.addEventListener("abort", () => resolve(undefined), { once: true });
    if (this.end.aborted) resolve(undefined);
    return await Promise.race([work, promise]);
  }

  [Symbol.dispose](): void {
    process.off("SIGHUP", this.#hangUp);
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.off(signal, this.#terminate);
  }
}
