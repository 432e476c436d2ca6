/** An open log file: its lines, the place, and whether it still is the same file. */
import { createHash } from "node:crypto";
import { fstatSync, readSync, type BigIntStats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { hasCode } from "../../lib/errors.ts";
import { LF, splitLines } from "./lines.ts";

/**
 * The most bytes to read at once: more would delay the other clients of this process by
 * milliseconds.
 */
const CHUNK = 128 * 1024;

/**
 * The bytes at the beginning of a file that identify it, together with its inode, and that identify
 * its copies.
 */
const HEAD_BYTES = 1024;

const NOTHING = Buffer.alloc(0);

/** A place in a log. */
export interface LogPosition {
  readonly device: string;
  readonly inode: string;
  /** The number of the file's first bytes, and their SHA-256. */
  readonly head: { readonly bytes: number; readonly sha256: string };
  /** The beginning of the first unread line, in bytes. */
  readonly offset: number;
  /** The number of lines before it. */
  readonly lines: number;
  /** When the file was last written to, in milliseconds since 1970, with a fraction. */
  readonly modified: number;
}

/** Consecutive lines. */
export interface Lines {
  /** Without newlines; TOO_LONG for a line that is too long. Valid until the next read. */
  readonly lines: readonly Buffer[];
  /** The number of lines before these in the file. */
  readonly before: number;
  /** The place after these lines. */
  readonly next: LogPosition;
  /** The number of bytes after these lines. */
  readonly rest: number;
  /**
   * The lines after these, in the portions in which they will be read. Each is valid until the
   * next.
   */
  readonly behind: () => AsyncIterable<LinesBehind>;
}

/** Lines that have not been read yet. */
export interface LinesBehind {
  readonly lines: readonly Buffer[];
  /** The beginning of the first of them, in bytes. */
  readonly offset: number;
}

/**
 * The result of {@link LogFile.read}: lines, nothing new, or a file whose contents have been
 * replaced.
 */
export type ReadResult = Lines | "end" | "replaced";

export class LogFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #buffer = Buffer.alloc(CHUNK);
  #head: Buffer;
  #place: LogPosition;
  /**
   * The bytes skipped of a line that is too long. The place stays before it until the line ends.
   */
  #skipped = 0;

  private constructor(path: string, handle: FileHandle, head: Buffer, place: LogPosition) {
    this.path = path;
    this.#handle = handle;
    this.#head = head;
    this.#place = place;
  }

  /** Opens the file at its beginning; undefined if it does not exist. */
  static async open(path: string): Promise<LogFile | undefined> {
    const handle = await openFile(path);
    if (handle === undefined) return undefined;
    const stats = await handle.stat({ bigint: true });
    const place = { ...identity(stats), head: headOf(NOTHING), offset: 0, lines: 0 };
    return new LogFile(path, handle, NOTHING, { ...place, modified: modified(stats) });
  }

  /** Opens the file at `place`; undefined if it does not exist, or is another file. */
  static async reopen(path: string, place: LogPosition): Promise<LogFile | undefined> {
    const handle = await openFile(path);
    if (handle === undefined) return undefined;
    const stats = await handle.stat({ bigint: true });
    const head = beginning(handle, place.head.bytes);
    if (headOf(head).sha256 !== place.head.sha256 || stats.size < place.offset) {
      await handle.close();
      return undefined;
    }
    return new LogFile(path, handle, head, { ...place, ...identity(stats) });
  }

  /** The beginning of the first line that has not been passed. */
  get place(): LogPosition {
    return this.#place;
  }

  /** When the file was last written to. */
  get modified(): number {
    return modified(fstatSync(this.#handle.fd, { bigint: true }));
  }

  /** The next complete lines. The same lines are returned until {@link pass} is called. */
  async read(): Promise<ReadResult> {
    const { offset, lines: before } = this.#place;
    for (;;) {
      const from = offset + this.#skipped;
      const { bytesRead } = await this.#handle.read(this.#buffer, 0, CHUNK, from);
      // after the read, so that an earlier replacement is noticed
      const stats = fstatSync(this.#handle.fd, { bigint: true });
      if (stats.size < from || !this.#hasItsHead()) return "replaced";
      const bytes = this.#buffer.subarray(0, bytesRead);
      const lines = splitLines(bytes, this.#skipped > 0);
      const length = bytes.lastIndexOf(LF) + 1;
      if (length > 0) {
        const end = from + length;
        this.#extendHead(end);
        const next = {
          ...this.#place,
          head: headOf(this.#head),
          offset: end,
          lines: before + lines.length,
          modified: modified(stats),
        };
        const rest = Math.max(0, Number(stats.size) - end);
        return { lines, before, next, rest, behind: () => this.#behind(end) };
      }
      if (bytesRead < CHUNK) return "end";
      this.#skipped += bytesRead;
    }
  }

  async *#behind(end: number): AsyncGenerator<LinesBehind> {
    const buffer = Buffer.alloc(CHUNK);
    let isLineLong = false;
    for (let offset = end; ;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, CHUNK, offset);
      const bytes = buffer.subarray(0, bytesRead);
      const length = bytes.lastIndexOf(LF) + 1;
      if (length > 0) yield { lines: splitLines(bytes, isLineLong), offset };
      if (bytesRead < CHUNK) return;
      isLineLong = length === 0;
      offset += length === 0 ? bytesRead : length;
    }
  }

  /** Advances past the lines that were read last. */
  pass({ next }: Lines): void {
    this.#place = next;
    this.#skipped = 0;
  }

  #hasItsHead(): boolean {
    return this.#head.equals(beginning(this.#handle, this.#head.length));
  }

  #extendHead(end: number): void {
    const wanted = Math.min(end, HEAD_BYTES);
    if (this.#head.length < wanted) this.#head = beginning(this.#handle, wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function beginning({ fd }: FileHandle, bytes: number): Buffer {
  const head = Buffer.alloc(bytes);
  return head.subarray(0, readSync(fd, head, 0, bytes, 0));
}

function headOf(head: Buffer): LogPosition["head"] {
  return { bytes: head.length, sha256: createHash("sha256").update(head).digest("hex") };
}

function identity({ dev, ino }: BigIntStats): Pick<LogPosition, "device" | "inode"> {
  return { device: String(dev), inode: String(ino) };
}

function modified({ mtimeNs }: BigIntStats): number {
  return Number(mtimeNs / 1000n) / 1000;
}
