import { lstatSync, readlinkSync, statSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";

/** The number of links that the kernel follows: path_resolution(7). */
const LINKS = 40;

/**
 * The real path of a directory that root can reach safely: no other user can put a link or another
 * directory in the place of any component. undefined if one can. The contents of the directory may
 * be any user's.
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
 * The reason why root must not work in a directory; undefined if it may. Root would follow the
 * links of other users.
 *
 * @param setting the key that names the directory in the configuration
 */
export function whyNotForRoot(directory: string, setting: string): string | undefined {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (process.geteuid?.() !== 0 || stats === undefined) return undefined;
  const others = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  if (stats.uid === 0 && !others) return undefined;
  return (
    `${setting}: ${directory} can be changed by ${stats.uid === 0 ? "others than root" : `user id ${stats.uid}`}, ` +
    "so popbsmtp does not use it as root: set `user` to the owner's name, or give the directory to root (mode 0700)"
  );
}

/** Whether only root can create and remove files in a directory. */
export function isRootsOwn(directory: string): boolean {
  const { uid, mode } = lstatSync(directory);
  return uid === 0 && (mode & 0o022) === 0;
}

/** In a sticky directory, only root can rename root's files. */
function isSafe(parent: Stats, child: Stats): boolean {
  if (parent.uid !== 0) return false;
  return (parent.mode & 0o022) === 0 || ((parent.mode & 0o1000) !== 0 && child.uid === 0);
}
