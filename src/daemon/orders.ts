import { setTimeout as sleep } from "node:timers/promises";

/** What there is to do next: end, read the configuration again, or see to what did not work last time. */
export type Order = "end" | "reload" | "retry";

/** What this process is told from outside, from its first moment on: SIGTERM, SIGINT and SIGHUP, and the end of Dovecot's master. */
export class Orders implements Disposable {
  readonly #end = new AbortController();
  readonly #hangUp = () => {
    this.#hangUps += 1;
    this.#wake.abort();
  };
  readonly #terminate = () => this.#end.abort();
  #hangUps = 0;
  #wake = new AbortController();

  /** @param ended resolves when whoever started this process wants it to end; by default nobody does */
  constructor(ended?: Promise<void>) {
    process.on("SIGHUP", this.#hangUp);
    // once: a second signal ends it at once
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, this.#terminate);
    void ended?.then(this.#terminate);
  }

  /** Aborted when this process is to end. */
  get end(): AbortSignal {
    return this.#end.signal;
  }

  /** The next order; `retry` after so many milliseconds without one. A SIGHUP that came before counts. */
  async next(ms: number): Promise<Order> {
    const signal = AbortSignal.any([this.#end.signal, this.#wake.signal]);
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    if (this.#end.signal.aborted) return "end";
    if (this.#hangUps === 0) return "retry";
    this.#hangUps = 0;
    this.#wake = new AbortController();
    return "reload";
  }

  /** What `work` resolves to; undefined where this process is told to end before. */
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
