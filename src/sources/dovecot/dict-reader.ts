/**
 * A parser for the requests of a dict client: lines of tab-escaped fields, which begin with the
 * letter of the command.
 *
 *     H<major> <minor> <value type> <user> <dict>    first; major 2, 3 or 4: Dovecot 2.2, 2.3, 2.4
 *     B<id> [<user> [<expire seconds>]]              begins a transaction
 *     S<id> <key> <value>                            sets a key in it
 *     U<id> <key>, A<id> <key> <difference>, P<id> <key> <value>, T<id> <seconds> <nanoseconds>,
 *         V<id> <yes or no>                          other operations
 *     R<id>                                          rolls it back
 *     C<id>, D<id>                                   commits it, with an answer; D: before 2.2.25
 *     L<key> [<user>], I<flags> ...                  lookup, iteration
 *
 * See dovecot/core: src/lib-dict/dict-client.c of 2.2 and 2.3, src/lib-dict-extra/dict-client.c of
 * 2.4; src/dict/dict-commands.c.
 */
import { tabSplit } from "./tab-escape.ts";

/** DICT_CLIENT_MAX_LINE_LENGTH, in bytes. */
const LINE_BYTES = 64 * 1024;

/** The most bytes in unfinished transactions of a connection. */
const OPEN_BYTES = 4 * LINE_BYTES;

const LF = 0x0a;

const MAJORS = [2, 3, 4];

/** A key that is set to a value. */
export interface DictSet {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface DictCommit {
  readonly kind: "commit";
  readonly id: string;
  /** Whether it was sent as D, which has another answer. */
  readonly isAsync: boolean;
  readonly sets: readonly DictSet[];
  /** Whether the transaction also contains operations that only a database can do. */
  readonly hasOther: boolean;
}

/** A request that needs an answer. */
export type DictRequest = DictCommit | { readonly kind: "lookup" } | { readonly kind: "iterate" };

interface Transaction {
  readonly sets: DictSet[];
  hasOther: boolean;
  bytes: number;
}

/** Parses the bytes that arrive on a connection. */
export class DictReader {
  #rest = Buffer.alloc(0);
  #major: number | undefined;
  readonly #transactions = new Map<string, Transaction>();
  /** The bytes in all transactions. */
  #openBytes = 0;

  /** The protocol's major version; undefined until the client has sent it. */
  get major(): number | undefined {
    return this.#major;
  }

  /** Whether the last bytes were an incomplete line. */
  get isWithinLine(): boolean {
    return this.#rest.length > 0;
  }

  /**
   * The requests that `chunk` completes, in order.
   *
   * @throws Error on a violation of the protocol, which makes the connection unusable
   */
  *receive(chunk: Buffer): Generator<DictRequest, void> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end; (end = bytes.indexOf(LF, start)) >= 0; start = end + 1) {
      const request = this.#line(bytes.subarray(start, end));
      if (request !== undefined) yield request;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    if (this.#rest.length > LINE_BYTES) throw tooLong();
  }

  #line(line: Buffer): DictRequest | undefined {
    if (line.length > LINE_BYTES) throw tooLong();
    const command = line.toString("latin1", 0, 1);
    const fields = tabSplit(line.subarray(1));
    if (this.#major === undefined) {
      this.#major = majorOf(command, fields);
      return undefined;
    }
    if (command === "L") return { kind: "lookup" };
    if (command === "I") return { kind: "iterate" };
    return this.#transactional(command, fields, line.length);
  }

  #transactional(
    command: string,
    [number, ...fields]: readonly Buffer[],
    bytes: number,
  ): DictCommit | undefined {
    const id = number?.toString("latin1") ?? "";
    if (!/^\d{1,10}$/.test(id)) throw new Error(`command ${quote(command)} without a number`);
    if (command === "B") {
      this.#begin(id, bytes);
      return undefined;
    }
    const transaction = this.#transactions.get(id);
    if (transaction === undefined) throw new Error(`there is no transaction ${id}`);
    switch (command) {
      case "S":
        transaction.sets.push(setOf(fields));
        this.#hold(transaction, bytes);
        return undefined;
      case "A":
      case "P":
        transaction.hasOther = true;
        return undefined;
      // no key holds a value, so there is nothing to remove, date or hide
      case "U":
      case "T":
      case "V":
        return undefined;
      case "R":
        this.#end(id, transaction);
        return undefined;
      case "C":
      case "D": {
        this.#end(id, transaction);
        const { sets, hasOther } = transaction;
        return { kind: "commit", id, isAsync: command === "D", sets, hasOther };
      }
      default:
        throw new Error(`unknown command ${quote(command)}`);
    }
  }

  #begin(id: string, bytes: number): void {
    if (this.#transactions.has(id)) throw new Error(`transaction ${id} begins twice`);
    const transaction = { sets: [], hasOther: false, bytes: 0 };
    this.#transactions.set(id, transaction);
    this.#hold(transaction, bytes);
  }

  #hold(transaction: Transaction, bytes: number): void {
    transaction.bytes += bytes;
    this.#openBytes += bytes;
    if (this.#openBytes > OPEN_BYTES) {
      throw new Error(`more than ${OPEN_BYTES} bytes in open transactions`);
    }
  }

  #end(id: string, { bytes }: Transaction): void {
    this.#transactions.delete(id);
    this.#openBytes -= bytes;
  }
}

function setOf([key, value, ...more]: readonly Buffer[]): DictSet {
  if (key !== undefined && value !== undefined && more.length === 0) return { key, value };
  throw new Error("a key is set without exactly one value");
}

function majorOf(command: string, [major, ...rest]: readonly Buffer[]): number {
  const text = major?.toString("latin1") ?? "";
  if (command !== "H" || !/^\d{1,5}$/.test(text) || rest.length < 4) {
    throw new Error("does not begin as Dovecot's dict protocol does");
  }
  if (MAJORS.includes(Number(text))) return Number(text);
  throw new Error(`version ${text} of Dovecot's dict protocol; expected 2, 3 or 4`);
}

function quote(command: string): string {
  return JSON.stringify(command);
}

function tooLong(): Error {
  return new Error(`a line of more than ${LINE_BYTES} bytes`);
}
