import { basename, dirname } from "node:path";
import { DirectoryWatch } from "../../system/directory-watch.ts";
import { isRotated } from "./rotation.ts";

/** How often to look although nothing was announced: inotify(7) may lose events, and knows nothing of other hosts' writes. Milliseconds. */
const RESCAN_MS = 10_000;

/** The same where nothing can be announced. */
const POLL_MS = 500;

/** Tells when something has happened to a file, whether it is there or not: its directory is watched, so it may be renamed and made anew. */
export class WakeUp implements Disposable {
  readonly #watch: DirectoryWatch;
  #isDue = false;
  #awaken: () => void = () => undefined;

  /** @param onPolling told, once in this process, that nothing is announced, and what to do about it */
  constructor(path: string, onPolling: (reason: string) => void) {
    const log = basename(path);
    this.#watch = new DirectoryWatch(dirname(path), {
      onChange: (changed) => {
        // a writer that has not heard of the rotation yet writes to the old one
        if (changed === null || changed === log || isRotated(log, changed)) this.#call();
      },
      onPolling,
    });
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
    const timer = setTimeout(resolve, this.#watch.isPolling ? POLL_MS : RESCAN_MS);
    this.#awaken = resolve;
    signal.addEventListener("abort", this.#awaken, { once: true });
    await promise;
    signal.removeEventListener("abort", this.#awaken);
    clearTimeout(timer);
    // a directory that was made anew is another one
    if (!this.#isDue && !signal.aborted) this.#watch.renew();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}
