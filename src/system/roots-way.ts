import { lstatSync, readlinkSync, statSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";

/** As many as the kernel follows: path_resolution(7). */
const LINKS = 40;

/**
 * The real path of a directory that root can go to without being led astray: nobody else can put a link, or another directory, in the
 * place of any part of it. Undefined where somebody can. What is in the directory itself may be anybody's.
 */
export function rootsWayTo(directory: string): string | undefined {
  const names = namesOf(directory);
  let at = "/";
  for (let links = 0, name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === "..") {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    const found = lstatSync(next);
    if (!isSafe(lstatSync(at), found)) return undefined;
    if (!found.isSymbolicLink()) {
      at = next;
      continue;
    }
    if (++links > LINKS) return undefined;
    const target = readlinkSync(next);
    if (target.startsWith("/")) at = "/";
    names.unshift(...namesOf(target));
  }
  return at;
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/**
 * Why root does not work in a directory, or undefined: it may. Where others can put links, root would follow them.
 *
 * @param setting what names the directory, in the configuration
 */
export function whyNotForRoot(directory: string, setting: string): string | undefined {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (process.geteuid?.() !== 0 || stats === undefined) return undefined;
  const others = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  if (stats.uid === 0 && !others) return undefined;
  return (
    `${setting}: ${directory} can be changed by ${stats.uid === 0 ? "others than root" : `user id ${stats.uid}`}, ` +
    "so root does not work in it: set `user` to the owner's name, or give the directory to root (mode 0700)"
  );
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
