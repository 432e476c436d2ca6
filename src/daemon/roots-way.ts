import { lstatSync, realpathSync, type Stats } from "node:fs";
import { dirname } from "node:path";

/**
 * The real path of a directory that root can go to without being led astray: nobody else can put a link, or another directory, in the
 * place of any part of it. Undefined where somebody can. What is in the directory itself may be anybody's.
 */
export function rootsWayTo(directory: string): string | undefined {
  const real = realpathSync(directory);
  for (let child = real; child !== "/"; child = dirname(child)) {
    if (!isSafe(lstatSync(dirname(child)), lstatSync(child))) return undefined;
  }
  return real;
}

/** Whether only root makes and removes files in a directory. */
export function isRootsOwn(directory: string): boolean {
  const { uid, mode } = lstatSync(directory);
  return uid === 0 && (mode & 0o022) === 0;
}

/** In a sticky directory nobody but root moves what is root's. */
function isSafe(parent: Stats, child: Stats): boolean {
  if (parent.uid !== 0) return false;
  return (parent.mode & 0o022) === 0 || ((parent.mode & 0o1000) !== 0 && child.uid === 0);
}
