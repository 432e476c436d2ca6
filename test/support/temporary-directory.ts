import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export interface TemporaryDirectoryOptions {
  /** The owner. Default: the user of the tests. */
  readonly owner?: Account | undefined;
  /** Default 0o700, as mkdtemp(3) makes it. */
  readonly mode?: number;
  /** Where it is made. Default: $TEST_DIRECTORY or /tmp. */
  readonly parent?: string;
}

/** Not TMPDIR: the directory contains Unix sockets, whose paths are limited to 107 bytes. */
const PARENT = process.env["TEST_DIRECTORY"] ?? "/tmp";

/**
 * A new directory, removed with its contents at dispose, and also if the test process exits early.
 */
export function temporaryDirectory(options: TemporaryDirectoryOptions = {}): TemporaryDirectory {
  const path = mkdtempSync(`${options.parent ?? PARENT}/pop-`);
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

// repeated, because the last child of a server may still write while it dies
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 20 };
