import { basename, dirname } from "node:path";
import { DirectoryWatch } from "../../system/directory-watch.ts";
import { isRotated } from "./rotation.ts";

/**
 * How often to look without an announcement, in milliseconds: inotify(7) may lose events, and does
 * not see the writes of other hosts.
 */
const RESCAN_MS = 10_000;

/** How often to look where nothing is announced, in milliseconds. */
const POLL_MS = 500;

/**
 * Waits for changes of a file. It watches the directory, so the file may be missing, renamed and
 * created again.
 */
export class WakeUp implements Disposable {
  readonly #watch: DirectoryWatch;
  #isDue = false;
  #awaken: () => void = () => undefined;

  /**
   * @param onPolling called once in this process if nothing is announced, with what to do about it
   */
  constructor(path: string, onPolling: (reason: string) => void) {
    const log = basename(path);
    this.#watch = new DirectoryWatch(dirname(path), {
      onChange: (changed) => {
        // a writer that has not noticed the rotation writes to the old file
        if (changed === null || changed === log || isRotated(log, changed)) this.#call();
      },
      onPolling,
    });
  }

  #call(): void {
    this.#isDue = true;
    this.#awaken();
  }

  /** Starts noticing changes; to be called before looking at the file. */
  arm(): void {
    this.#isDue = false;
  }

  /** Resolves after a change since {@link arm}, when it is time to look anyway, and at `signal`. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#isDue || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#watch.isPolling ? POLL_MS : RESCAN_MS);
    this.#awaken = resolve;
    signal.addEventListener("abort", this.#awaken, { once: true });
    await promise;
    signal.removeEventListener("abort", this.#awaken);
    clearTimeout(timer);
    // the directory may have been created again
    if (!this.#isDue && !signal.aborted) this.#watch.renew();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}
