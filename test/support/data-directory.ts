import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Account } from "./accounts.ts";
import { hasCode } from "../../src/lib/errors.ts";
import { runOk } from "./run.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface DataDirectoryOptions {
  readonly owner: Account | undefined;
  /** Everything that decides what is in it, such as the server's version. */
  readonly key: readonly string[];
  /** Makes one. A directory that the owner may use for other files is given too. */
  readonly make: (data: string, scratch: string) => Promise<void>;
}

const CACHE = fileURLToPath(new URL("../../.cache/data-directories/", import.meta.url));

/**
 * A database server's data directory at `path`: a copy of one that is made once and kept in .cache.
 */
export async function dataDirectory(
  path: string,
  { owner, key, make }: DataDirectoryOptions,
): Promise<void> {
  const whole = JSON.stringify([owner, ...key]);
  const kept = join(CACHE, createHash("sha256").update(whole).digest("hex").slice(0, 16));
  if (!existsSync(kept)) {
    await using directory = temporaryDirectory({ owner, mode: 0o755 });
    const data = join(directory.path, "data");
    await make(data, directory.path);
    mkdirSync(CACHE, { recursive: true });
    await keep(data, kept);
  }
  await runOk("cp", ["--archive", "--reflink=auto", kept, path]);
}

/** Other processes may do the same at this moment: each sees a whole directory, or none. */
async function keep(data: string, kept: string): Promise<void> {
  const part = `${kept}.${randomUUID()}`;
  await runOk("cp", ["--archive", "--sparse=always", data, part]);
  try {
    await rename(part, kept);
  } catch (error) {
    await rm(part, { recursive: true });
    if (!hasCode(error, "ENOTEMPTY") && !hasCode(error, "EEXIST")) throw error;
  }
}
