/**
 * The directory that relay-ctrl-allow writes, relay-ctrl-check asks and relay-ctrl-age tidies up: a file for each address, whose name
 * is the address and whose time of modification is the last login.
 *
 * All of it is done at once, without letting go of the thread: these are a few microseconds in a local directory, and what was looked
 * at is still so when it is acted upon, but for other processes. These may be relay-ctrl's own, which take no locks.
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

/** After so long a file is not being written any more. Seconds. */
const STALE_S = 60;

/** What a file says. */
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

  /** Throws where there is no such directory. */
  check(): void {
    statSync(`${this.path}/.`);
  }

  /** The last login from an address, in milliseconds since 1970; undefined where there is no file of this name. */
  time(address: Address): number | undefined {
    return present(() => lstatSync(this.#file(address), { bigint: true }), timeOf);
  }

  /** The same, and the user that the file names; "" where only its owner, who need not be this one, may look into it. */
  read(address: Address): { readonly time: number; readonly user: string } | undefined {
    const time = this.time(address);
    return time === undefined ? undefined : { time, user: parseContent(this.#content(address)) };
  }

  /** Puts a file in the place of the one that is there, which whoever asks meanwhile sees whole. */
  write({ address, time }: RecordedAddress, user: string): void {
    const unfinished = this.#temporary();
    const descriptor = openSync(unfinished, "wx", 0o600);
    try {
      try {
        writeFileSync(descriptor, formatContent(user));
        fchmodSync(descriptor, this.#mode());
        // down to the microsecond: a time is never rounded up
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
   * Returns when what was written survives a power cut: names and times, which are the authorizations. (Who they were of, the files'
   * contents, may be lost; waiting for every file would take as many times as long.)
   */
  async sync(): Promise<void> {
    try {
      await using directory = await open(this.path);
      await directory.sync();
    } catch (error) {
      // not every file system can, and not everybody who may write into a directory may look into it
      if (!hasCode(error, "EINVAL", "EACCES")) throw error;
    }
  }

  /** Removes an address's file, and says whether there was one. */
  remove(address: Address): boolean {
    return (
      present(
        () => unlinkSync(this.#file(address)),
        () => true,
      ) ?? false
    );
  }

  /**
   * Removes an address's file unless its time is `limit` or later, and says whether it did. One that is renewed in this very moment
   * stays: it is looked at again when nobody can replace it any more.
   */
  removeOlder(address: Address, limit: number): boolean {
    const [file, aside] = [this.#file(address), this.#temporary()];
    const time = present(
      () => renameSync(file, aside),
      () => timeOf(lstatSync(aside, { bigint: true })),
    );
    if (time === undefined) return false;
    const isOlder = time < limit;
    // where there is one again, that is newer still
    if (!isOlder) unlessThere(() => linkSync(aside, file));
    unlinkSync(aside);
    return isOlder;
  }

  /** Every address that has a file, in no order. What is written or removed meanwhile may or may not be among them. */
  async *entries(): AsyncGenerator<RecordedAddress> {
    for await (const { name } of await opendir(this.path)) {
      const address = parseAddress(name);
      // 010.1.1.1, which relay-ctrl-allow lets pass, is the file of no address
      if (address === undefined || address !== name) continue;
      const time = this.time(address);
      if (time !== undefined) yield { address, time };
    }
  }

  /** Removes what relay-ctrl-allow, or a process here, has begun to write and never ended. `now`: in milliseconds since 1970. */
  async removeUnfinished(now: number): Promise<void> {
    for await (const { name } of await opendir(this.path)) {
      const [, seconds] = /^\.(\d+)\.\d+:\d+$/.exec(name) ?? [];
      if (seconds !== undefined && Number(seconds) + STALE_S < now / 1000) {
        rmSync(join(this.path, name), { force: true });
      }
    }
  }

  #content(address: Address): Buffer {
    // neither somebody's link to elsewhere nor their FIFO
    const how = flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK;
    let descriptor;
    try {
      descriptor = openSync(this.#file(address), how);
      const bytes = Buffer.alloc(CONTENT_BYTES);
      return bytes.subarray(0, readSync(descriptor, bytes));
    } catch (error) {
      // relay-ctrl-allow makes some files its user's own, and may have put one in the place of this one
      if (hasCode(error, "EACCES", "ENOENT", "ELOOP", "EAGAIN", "EISDIR")) return Buffer.alloc(0);
      throw error;
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  #file(address: Address): string {
    return join(this.path, address);
  }

  /** A name such as relay-ctrl-allow takes, `.<seconds>.<fraction>:<process id>`: relay-ctrl-age knows these, too. */
  #temporary(): string {
    written = (written + 1) % 1_000_000;
    return join(this.path, `.${Math.floor(Date.now() / 1000)}.${written}:${process.pid}`);
  }

  /**
   * Whoever may enter the directory may read its files, as relay-ctrl-check does; whoever may write to it may write to them, as
   * relay-ctrl-udp does.
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
  // to microseconds, the nearest: setting it in binary fractions of a second has lost a little
  return stats.isFile() ? Math.round(Number(stats.mtimeNs / 100n) / 10) / 1000 : undefined;
}

/** `then` with what `find` finds, or undefined where it says that there is none, or none that is a file. */
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
