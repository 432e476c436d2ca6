/** The directory that a store is in: a SQLite file's, or relay-ctrl's. */
import {
  closeSync,
  constants as flags,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { StoreConfig } from "../config/config.ts";
import { isRootsOwn, rootsWayTo } from "../system/roots-way.ts";

/** The account that writes the store, and the group of those who may read it. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A directory that `schema install` makes. */
export interface Home {
  readonly path: string;
  readonly mode: number;
}

/** undefined where the store is a server, or a table of the administrator's own. */
export function homeOf(store: StoreConfig): Home | undefined {
  // new files in it belong to the group of those who may read
  if (store.driver === "sqlite") {
    return store.mapped ? undefined : { path: dirname(resolve(store.path)), mode: 0o2750 };
  }
  // whoever knows an address may ask whether it may relay; only the writer may look around
  return store.driver === "relay-ctrl" ? { path: resolve(store.path), mode: 0o711 } : undefined;
}

/** Makes the directory where it is missing, and says whether it did. */
export function makeHome({ path, mode }: Home, owner?: Owner): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
  makeParents(path);
  mkdirSync(path);
  const directory = openSync(path, flags.O_RDONLY | flags.O_DIRECTORY | flags.O_NOFOLLOW);
  try {
    // the owner first: chown(2) clears the bit that hands the group down to the files
    if (owner !== undefined) fchownSync(directory, owner.uid, owner.gid);
    // not at mkdir: there the umask would have its say
    fchmodSync(directory, mode);
  } finally {
    closeSync(directory);
  }
  return true;
}

/**
 * The same for root, who gives the directory to `owner`; but only where nobody else can put
 * something in its way. Elsewhere `owner` is left to make it.
 */
export function makeHomeAsRoot(home: Home, owner: Owner): boolean {
  const start = nearest(dirname(home.path));
  const there = rootsWayTo(start);
  if (there === undefined || !isRootsOwn(there)) return false;
  // by the real path, which nobody else can change
  return makeHome({ ...home, path: join(there, relative(start, home.path)) }, owner);
}

function makeParents(path: string): void {
  const parent = dirname(path);
  if (lstatSync(parent, { throwIfNoEntry: false }) !== undefined) return;
  makeParents(parent);
  // not recursive: what appears meanwhile is somebody else's
  mkdirSync(parent);
}

/** The directory itself, or the nearest above it that exists. */
function nearest(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? nearest(dirname(path)) : path;
}
