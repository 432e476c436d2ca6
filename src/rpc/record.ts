/**
 * RPC messages on a stream (RFC 5531, 11): a message is one or more fragments. A word with its
 * length precedes each fragment, and the highest bit marks the last.
 */
import { MalformedMessage, words } from "./message.ts";

const LAST = 0x8000_0000;

/** A message as one fragment. */
export function encodeRecord(message: Buffer): Buffer {
  return Buffer.concat([words(LAST + message.length), message]);
}

/** Assembles messages from the bytes that arrive. */
export class RecordReader {
  readonly #limit: number;
  #pending: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #length = 0;

  /** @param limit the longest message, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The messages that `chunk` completes. Throws MalformedMessage, after which the stream is
   * unusable.
   */
  *read(chunk: Buffer): Generator<Buffer> {
    let bytes = Buffer.concat([this.#pending, chunk]);
    while (bytes.length >= 4) {
      const mark = bytes.readUInt32BE();
      const isLast = mark >= LAST;
      const length = isLast ? mark - LAST : mark;
      if (this.#length + length > this.#limit) {
        throw new MalformedMessage(`longer than ${this.#limit} bytes`);
      }
      // an endless series of empty fragments would cost time, and carry no data
      if (length === 0 && !isLast) throw new MalformedMessage("an empty fragment");
      if (bytes.length < 4 + length) break;
      this.#fragments.push(bytes.subarray(4, 4 + length));
      this.#length += length;
      bytes = bytes.subarray(4 + length);
      if (isLast) yield this.#complete();
    }
    // copied: a view would keep the whole chunk in memory while the client is idle
    this.#pending = Buffer.from(bytes);
  }

  #complete(): Buffer {
    const message = Buffer.concat(this.#fragments);
    this.#fragments = [];
    this.#length = 0;
    return message;
  }
}
