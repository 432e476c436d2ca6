/** Tells of changes in a directory, as far as the kernel has the means. */
import { watch, type FSWatcher } from "node:fs";

/** What to raise where the kernel has no more of it: inotify(7), under /proc. */
const LIMITS: Readonly<Record<string, string>> = {
  EMFILE: "fs.inotify.max_user_instances",
  ENOSPC: "fs.inotify.max_user_watches",
};

/** Whether somebody has been told that this process has to look for itself. */
let isTold = false;

export interface DirectoryWatchOptions {
  /** Told which file has changed; null where that is not known. */
  readonly onChange: (name: string | null) => void;
  /** Told, once in this process, that nothing is announced, and what to do about it. */
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

  /** Whether the kernel announces nothing, for want of inotify instances or watches: look often. */
  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** Watches the directory that has this name now, if there is one: it may be another one than before. */
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
      `the kernel announces no changes of ${this.#path}, which is read again and again instead: raise ${limit}, as in: sysctl ${limit}=1024`,
    );
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
