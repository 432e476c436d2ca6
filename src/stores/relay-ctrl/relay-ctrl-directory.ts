/**
 * The directory that relay-ctrl-allow writes, relay-ctrl-check reads and relay-ctrl-age cleans: a
 * file for each address, whose name is the address and whose modification time is the last login.
 *
 * All calls are synchronous: they take microseconds in a local directory, and only other processes,
 * such as relay-ctrl's, can change files between a check and the action. relay-ctrl takes no locks.
 */
import {
  closeSync,
  constants as flags,
  fchmodSync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { open, opendir } from "node:fs/promises";
import { join } from "node:path";
import { parseAddress, type Address } from "../../login/address.ts";
import { hasCode } from "../../lib/errors.ts";
import { CONTENT_BYTES, formatContent, parseContent } from "./relay-ctrl-entry.ts";

/** After this long a file is no longer being written. Seconds. */
const STALE_S = 60;

/** The authorization in a file. */
export interface RecordedAddress {
  readonly address: Address;
  /** The last login: milliseconds since 1970, with a fraction down to microseconds. */
  readonly time: number;
}

/** Numbers the files that this process writes. */
let written = 0;

export class RelayCtrlDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Throws if the directory does not exist. */
  check(): void {
    statSync(`${this.path}/.`);
  }

  /**
   * The last login from an address, in milliseconds since 1970; undefined if there is no such file.
   */
  time(address: Address): number | undefined {
    return present(() => lstatSync(this.#file(address), { bigint: true }), timeOf);
  }

  /** The same with the user in the file; "" if this process may not read it. */
  read(address: Address): { readonly time: number; readonly user: string } | undefined {
    const time = this.time(address);
    return time === undefined ? undefined : { time, user: parseContent(this.#content(address)) };
  }

  /** Replaces a file atomically. */
  write({ address, time }: RecordedAddress, user: string): void {
    const unfinished = this.#temporary();
    const descriptor = openSync(unfinished, "wx", 0o600);
    try {
      try {
        writeFileSync(descriptor, formatContent(user));
        fchmodSync(descriptor, this.#mode());
        // rounded down to the microsecond: a time is never rounded up
        const seconds = Math.floor(time * 1000) / 1_000_000;
        futimesSync(descriptor, seconds, seconds);
      } finally {
        closeSync(descriptor);
      }
      renameSync(unfinished, this.#file(address));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
  }

  /**
   * Returns when the names and times, which are the authorizations, survive a power cut. (The
   * files' contents, the users, may be lost: syncing every file would take many times as long.)
   */
  async sync(): Promise<void> {
    try {
      await using directory = await open(this.path);
      await directory.sync();
    } catch (error) {
      // not every file system supports it, and a user who may write into a directory may not be
      // able to read it
      if (!hasCode(error, "EINVAL", "EACCES")) throw error;
    }
  }

  /** Removes an address's file. Returns whether there was one. */
  remove(address: Address): boolean {
    return (
      present(
        () => unlinkSync(this.#file(address)),
        () => true,
      ) ?? false
    );
  }

  /**
   * Removes an address's file unless its time is `limit` or later. Returns whether it did. A file
   * that is renewed at this moment stays: it is checked again under a name at which no other
   * process can replace it.
   */
  removeOlder(address: Address, limit: number): boolean {
    const [file, aside] = [this.#file(address), this.#temporary()];
    const time = present(
      () => renameSync(file, aside),
      () => timeOf(lstatSync(aside, { bigint: true })),
    );
    if (time === undefined) return false;
    const isOlder = time < limit;
    // if there is a file again, it is newer still
    if (!isOlder) unlessThere(() => linkSync(aside, file));
    unlinkSync(aside);
    return isOlder;
  }

  /**
   * Every address that has a file, in no particular order. Files written or removed meanwhile may
   * or may not be included.
   */
  async *entries(): AsyncGenerator<RecordedAddress> {
    for await (const { name } of await opendir(this.path)) {
      const address = parseAddress(name);
      // 010.1.1.1, which relay-ctrl-allow accepts, is not an address
      if (address === undefined || address !== name) continue;
      const time = this.time(address);
      if (time !== undefined) yield { address, time };
    }
  }

  /**
   * Removes files that relay-ctrl-allow or popbsmtp began to write and never finished. `now` is in
   * milliseconds since 1970.
   */
  async removeUnfinished(now: number): Promise<void> {
    for await (const { name } of await opendir(this.path)) {
      const [, seconds] = /^\.(\d+)\.\d+:\d+$/.exec(name) ?? [];
      if (seconds !== undefined && Number(seconds) + STALE_S < now / 1000) {
        rmSync(join(this.path, name), { force: true });
      }
    }
  }

  #content(address: Address): Buffer {
    // follows no link, and waits for no FIFO
    const how = flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK;
    let descriptor;
    try {
      descriptor = openSync(this.#file(address), how);
      const bytes = Buffer.alloc(CONTENT_BYTES);
      return bytes.subarray(0, readSync(descriptor, bytes));
    } catch (error) {
      // relay-ctrl-allow's files may belong to another user, and may have replaced this one
      if (hasCode(error, "EACCES", "ENOENT", "ELOOP", "EAGAIN", "EISDIR")) return Buffer.alloc(0);
      throw error;
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  #file(address: Address): string {
    return join(this.path, address);
  }

  /**
   * A temporary name like relay-ctrl-allow's, `.<seconds>.<fraction>:<process id>`, which
   * relay-ctrl-age knows too.
   */
  #temporary(): string {
    written = (written + 1) % 1_000_000;
    return join(this.path, `.${Math.floor(Date.now() / 1000)}.${written}:${process.pid}`);
  }

  /**
   * Users who may enter the directory may read its files, as relay-ctrl-check does; users who may
   * write to it may write to them, as relay-ctrl-udp does.
   */
  #mode(): number {
    const { mode } = statSync(this.path);
    return ((mode & 0o111) << 2) | (mode & 0o222) | 0o600;
  }
}

interface Stats {
  isFile(): boolean;
  readonly mtimeNs: bigint;
}

function timeOf(stats: Stats): number | undefined {
  // rounded to the nearest microsecond, because setting it as a binary fraction of a second loses
  // precision
  return stats.isFile() ? Math.round(Number(stats.mtimeNs / 100n) / 10) / 1000 : undefined;
}

/**
 * Calls `then` with the result of `find`; undefined if the file does not exist or is not a regular
 * file.
 */
function present<Found, Result>(
  find: () => Found,
  then: (found: Found) => Result,
): Result | undefined {
  let found;
  try {
    found = find();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ELOOP")) return undefined;
    throw error;
  }
  return then(found);
}

function unlessThere(create: () => void): void {
  try {
    create();
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}
