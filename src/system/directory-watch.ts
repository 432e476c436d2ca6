/** Announces changes in a directory, as far as the kernel can. */
import { watch, type FSWatcher } from "node:fs";

/** The limits to raise when the kernel runs out: inotify(7), under /proc. */
const LIMITS: Readonly<Record<string, string>> = {
  EMFILE: "fs.inotify.max_user_instances",
  ENOSPC: "fs.inotify.max_user_watches",
};

/** Whether `onPolling` has been called in this process. */
let isTold = false;

export interface DirectoryWatchOptions {
  /** Called with the file that has changed; null if unknown. */
  readonly onChange: (name: string | null) => void;
  /** Called once in this process if changes are not announced, with what to do about it. */
  readonly onPolling: (reason: string) => void;
}

export class DirectoryWatch implements Disposable {
  readonly #path: string;
  readonly #options: DirectoryWatchOptions;
  #watcher: FSWatcher | undefined;
  #isPolling = false;

  constructor(path: string, options: DirectoryWatchOptions) {
    this.#path = path;
    this.#options = options;
    this.renew();
  }

  /** Whether the kernel announces nothing, for lack of inotify instances or watches: look often. */
  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** Watches the directory that has this name now, if any, which may have been replaced. */
  renew(): void {
    this[Symbol.dispose]();
    const { onChange } = this.#options;
    try {
      this.#watcher = watch(this.#path, (_event, name) => onChange(name));
      this.#isPolling = false;
      isTold = false;
      this.#watcher.on("error", () => {
        this[Symbol.dispose]();
        onChange(null);
      });
    } catch (error) {
      const limit = LIMITS[error instanceof Error && "code" in error ? String(error.code) : ""];
      this.#isPolling = limit !== undefined;
      if (limit !== undefined) this.#tell(limit);
    }
  }

  #tell(limit: string): void {
    if (isTold) return;
    isTold = true;
    this.#options.onPolling(
      `inotify is not available for ${this.#path}, which is polled instead: raise ${limit}, as in: sysctl ${limit}=1024`,
    );
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
