import { statSync } from "node:fs";

/** How often to look at the file. Milliseconds. */
const LOOK_MS = 1_000;

/**
 * Calls `onChange` each time the file at `path` has been changed and then left alone for a second: an editor may empty a file before
 * it writes to it. That the file is missing is no change.
 *
 * @returns ends it
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

/** Different for each content that the file has had; undefined while there is none. */
function version(path: string): string | undefined {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return undefined;
  }
}
