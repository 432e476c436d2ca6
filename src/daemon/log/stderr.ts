import { writeSync } from "node:fs";

/**
 * Writes lines to stderr, each with one write(2), and returns whether that worked. It never waits
 * or throws: a slow, hanging or missing reader, or a full disk, loses the line.
 *
 * process.stderr.write() would keep an unbounded backlog for a slow reader in memory, and on a file
 * it stops for good after the first error.
 */
export function stderrWriter(): (line: string) => boolean {
  // reading process.stderr makes Node (libuv) set a pipe or a socket to non-blocking; other code
  // uses it, and its errors must not end the daemon either
  process.stderr.on("error", () => undefined);
  return (line) => {
    try {
      writeSync(2, line);
      return true;
    } catch {
      // EAGAIN, EPIPE, ENOSPC, ...: there is no place to report them
      return false;
    }
  };
}
