/**
 * RPC messages on a stream (RFC 5531, 11): a message is one or more fragments, each behind a word with its length, whose highest
 * bit marks the last one.
 */
import { MalformedMessage, words } from "./message.ts";

const LAST = 0x8000_0000;

/** A message as one fragment. */
export function encodeRecord(message: Buffer): Buffer {
  return Buffer.concat([words(LAST + message.length), message]);
}

/** Puts messages together from what comes in. */
export class RecordReader {
  readonly #limit: number;
  #pending: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #length = 0;

  /** @param limit how long a message may be. Bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The messages that are complete with `chunk`. Throws MalformedMessage; the stream is then of no use any more. */
  *read(chunk: Buffer): Generator<Buffer> {
    let bytes = Buffer.concat([this.#pending, chunk]);
    while (bytes.length >= 4) {
      const mark = bytes.readUInt32BE();
      const isLast = mark >= LAST;
      const length = isLast ? mark - LAST : mark;
      if (this.#length + length > this.#limit) {
        throw new MalformedMessage(`longer than ${this.#limit} bytes`);
      }
      // without end they would keep this busy, and say nothing
      if (length === 0 && !isLast) throw new MalformedMessage("an empty fragment");
      if (bytes.length < 4 + length) break;
      this.#fragments.push(bytes.subarray(4, 4 + length));
      this.#length += length;
      bytes = bytes.subarray(4 + length);
      if (isLast) yield this.#complete();
    }
    // copied: a part would keep all of what came in alive while the client is idle
    this.#pending = Buffer.from(bytes);
  }

  #complete(): Buffer {
    const message = Buffer.concat(this.#fragments);
    this.#fragments = [];
    this.#length = 0;
    return message;
  }
}
