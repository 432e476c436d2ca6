import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";
import { isRotated } from "./rotation.ts";

/** How often to look although nothing was announced: inotify(7) may lose events, and knows nothing of other hosts' writes. Milliseconds. */
const RESCAN_MS = 10_000;

/** Tells when something has happened to a file, whether it is there or not: its directory is watched, so it may be renamed and made anew. */
export class WakeUp implements Disposable {
  readonly #path: string;
  #watcher: FSWatcher | undefined;
  #isDue = false;
  #awaken: () => void = () => undefined;

  constructor(path: string) {
    this.#path = path;
    this.#watch();
  }

  #watch(): void {
    const log = basename(this.#path);
    try {
      this.#watcher = watch(dirname(this.#path), (_event, changed) => {
        // a writer that has not heard of the rotation yet writes to the old one
        if (changed === null || changed === log || isRotated(log, changed)) this.#call();
      });
      this.#watcher.on("error", () => this.#unwatch());
    } catch {
      // no such directory, or too many watches: looked for at the next rescan
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #call(): void {
    this.#isDue = true;
    this.#awaken();
  }

  /** What happens from now on is told: to be called before looking. */
  arm(): void {
    this.#isDue = false;
  }

  /** Resolves when something has happened since {@link arm}, when it is time to look all the same, and at `signal`. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#isDue || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, RESCAN_MS);
    this.#awaken = resolve;
    signal.addEventListener("abort", this.#awaken, { once: true });
    await promise;
    signal.removeEventListener("abort", this.#awaken);
    clearTimeout(timer);
    // a directory that was made anew is another one
    if (!this.#isDue && !signal.aborted) {
      this.#unwatch();
      this.#watch();
    }
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }
}
