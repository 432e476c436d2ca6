import { writeSync } from "node:fs";

/**
 * Writes lines to stderr, each with one write(2), and says whether that worked. It never waits and never throws: a reader that is
 * slow, hangs or is gone, or a full disk, costs the line.
 *
 * Not process.stderr.write(): what a reader is slow to take that keeps in memory, without bound, and on a file it gives up for good
 * after the first error.
 */
export function stderrWriter(): (line: string) => boolean {
  // asking for it makes Node (libuv) set a pipe or a socket to non-blocking. Others use it, too: that must not end the daemon either
  process.stderr.on("error", () => undefined);
  return (line) => {
    try {
      writeSync(2, line);
      return true;
    } catch {
      // EAGAIN, EPIPE, ENOSPC, ...: there is nowhere to say so
      return false;
    }
  };
}
