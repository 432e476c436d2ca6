import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export interface TemporaryDirectoryOptions {
  /** Whom it belongs to. Default: who runs the tests. */
  readonly owner?: Account | undefined;
  /** Default 0o700, as mkdtemp(3) makes it. */
  readonly mode?: number;
}

/** Not TMPDIR: Unix sockets are made below it, and their paths may have 107 bytes only. */
const PARENT = process.env["TEST_DIRECTORY"] ?? "/tmp";

/**
 * A fresh directory, gone with all its contents at dispose, and also where the test process ends early.
 */
export function temporaryDirectory(options: TemporaryDirectoryOptions = {}): TemporaryDirectory {
  const path = mkdtempSync(`${PARENT}/pop-`);
  if (options.owner !== undefined) chownSync(path, options.owner.uid, options.owner.gid);
  if (options.mode !== undefined) chmodSync(path, options.mode);
  const exit = atExit(() => rmSync(path, removal));
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, removal);
      exit[Symbol.dispose]();
    },
  };
}

// tried again: a server's last child may still be writing while it dies
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 20 };
