import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { writeTree, type Entries } from "./deb.ts";

/**
 * Writes NAME.tar.gz into `directory`, and returns its name.
 *
 * @param name the directory in it
 * @param time of every file, in seconds since 1970
 */
export function makeTarball(
  directory: string,
  name: string,
  entries: Entries,
  time: number,
): string {
  const file = `${name}.tar.gz`;
  const tree = join(directory, name);
  rmSync(tree, { recursive: true, force: true });
  writeTree(tree, entries);
  execFileSync("tar", [
    "--create",
    "--sort=name",
    "--format=gnu",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    `--mtime=@${time}`,
    "--use-compress-program=gzip -9n",
    `--directory=${directory}`,
    `--file=${join(directory, file)}`,
    name,
  ]);
  rmSync(tree, { recursive: true });
  return file;
}
