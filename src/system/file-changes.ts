import { statSync } from "node:fs";

/** How often to look at the file, in milliseconds. */
const LOOK_MS = 1_000;

/**
 * Calls `onChange` when the file at `path` has changed and then stayed the same for a second: an
 * editor may empty a file before it writes to it. A missing file is no change.
 *
 * @returns a function that ends it
 */
export function onFileChange(path: string, onChange: () => void): () => void {
  let known = version(path);
  let seen = known;
  const timer = setInterval(() => {
    const now = version(path);
    if (now !== undefined && now === seen && now !== known) {
      known = now;
      onChange();
    }
    seen = now;
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Differs for each content of the file; undefined while there is no file. */
function version(path: string): string | undefined {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return undefined;
  }
}
