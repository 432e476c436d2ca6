/**
 * Runs as a local user in a process of its own, and keeps putting links, FIFOs and files in the
 * place of everything that a program may be about to open. Arguments: a directory whose contents
 * the links lead to, then the paths to attack. Ends when standard input does.
 */
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";

const [outside = "", ...paths] = process.argv.slice(2);
const prepared = dirname(paths[0] ?? "");
const fifo = join(prepared, `.attack-fifo-${process.pid}`);
execFileSync("mkfifo", [fifo]);

const kinds: readonly ((path: string) => void)[] = [
  (path) => symlinkSync(join(outside, "file"), path),
  (path) => symlinkSync(join(outside, "directory"), path),
  (path) => symlinkSync(join(outside, "new"), path),
  (path) => symlinkSync(fifo, path),
  (path) => linkSync(fifo, path),
  (path) => writeFileSync(path, ""),
  (path) => mkdirSync(path),
];

const over = new AbortController();
process.stdin.resume().once("end", () => over.abort());
process.stdout.write("attacking\n");
for (let round = 0; !over.signal.aborted; round++) {
  for (const path of paths) {
    const kind = kinds[(round + path.length) % kinds.length];
    const next = join(dirname(path), `.attack-${basename(path)}`);
    try {
      kind?.(next);
      rmSync(path, { recursive: true, force: true });
      renameSync(next, path);
    } catch {
      // the file there cannot be replaced: the next round tries again
      rmSync(next, { recursive: true, force: true });
    }
  }
  await turn();
}
